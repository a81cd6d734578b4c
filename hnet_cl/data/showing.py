"""Prints the tasks of a configuration and draws their contact sheet."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table

from hnet_cl.benchmarks.base import Benchmark, Task
from hnet_cl.benchmarks.overview import class_sizes, overview
from hnet_cl.build import build_benchmark
from hnet_cl.config.check import check
from hnet_cl.core.capacity import out_of_memory
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import printable
from hnet_cl.core.regular_files import open_regular
from hnet_cl.data.contact_sheet import contact_sheet
from hnet_cl.loggers.pictures import pixels, save_picture

PROGRAM = "hnet_cl.data"
NAMED = 12  # classes of a task; of more, the sizes are summed up


def show(settings: Mapping[str, Any], output: Path | None) -> None:
    """Prints the tasks and writes a picture of them.

    Args:
        settings: the resolved configuration of a run.
        output: the PNG file; None for one in the configuration's `output_dir`, named after the benchmark.

    Raises:
        UserError: the configuration is wrong, its tasks cannot be made, or the file is not one of this command's.
        OSError: the picture cannot be written.
    """
    plan = check(settings)
    name = plan.benchmark.name
    path = output or Path(settings["output_dir"]) / f"{name}.png"
    _require_own(path, f"output={output}" if output else str(path))
    try:
        benchmark = build_benchmark(plan, Path(settings["data_dir"]), torch.device("cpu"))
    except Exception as error:
        if line := out_of_memory(error):
            raise UserError(line) from error
        raise
    _print(benchmark)
    figure = contact_sheet(benchmark.tasks, f"{name}: {benchmark.data.name}")
    if figure is None:
        print("Inputs are no images: nothing is drawn.")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    save_picture(pixels(figure), path, PROGRAM)
    print(path)


def _require_own(path: Path, typed: str) -> None:
    """Refuses to replace anything but a picture that this command has drawn."""
    if not os.path.lexists(path):
        return
    try:
        with open_regular(path) as file, Image.open(file, formats=("PNG",)) as picture:
            ours = not path.is_symlink() and picture.info.get("Software") == PROGRAM
    except (OSError, UserError, ValueError, SyntaxError):
        ours = False
    if not ours:
        raise UserError(f"{typed}: is there already, and {PROGRAM} has not drawn it; give another file")


def _print(benchmark: Benchmark) -> None:
    console = Console()
    console.print(overview(benchmark), markup=False, highlight=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for heading in ("task", "train", "test"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("name")
    table.add_column("training examples of each class")
    before = ""
    for task in benchmark.tasks:
        classes = printable(_balance(task))
        cells = (str(task.id + 1), f"{len(task.train):,}", f"{len(task.test):,}")
        table.add_row(*cells, _plain(task.name), "the same" if classes == before else _plain(classes))
        before = classes
    console.print(table, highlight=False)


def _balance(task: Task) -> str:
    """Returns the name and the size of each class; of many classes, those of the smallest and the largest alone."""
    sizes = class_sizes(task)
    if not sizes:
        return "no classes"
    if len(set(sizes)) == 1:
        names = task.classes if len(sizes) <= NAMED else [task.classes[0], "...", task.classes[-1]]
        return f"{sizes[0]:,} each: {', '.join(names)}"
    if len(sizes) <= NAMED:
        return "; ".join(f"{name}: {size:,}" for name, size in zip(task.classes, sizes, strict=True))
    least, most = (sizes.index(extreme) for extreme in (min(sizes), max(sizes)))
    ends = f"{sizes[least]:,} ({task.classes[least]}) to {sizes[most]:,} ({task.classes[most]})"
    return f"{len(sizes)} classes: {ends}"


def _plain(text: str) -> str:
    return printable(text).replace("[", r"\[")

"""The files of a plane of task embeddings: its figure and its numbers."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import csv_text, printable
from hnet_cl.plane.figure import plane_figure
from hnet_cl.plane.options import Options
from hnet_cl.plane.survey import Grid, Panel, generating, grid_around, panel
from hnet_cl.predict.learner import TrainedLearner
from hnet_cl.predict.test_set import own_tasks
from hnet_cl.predict.trained import Trained, load
from hnet_cl.report.drawing import encoded

NAME = "embedding_plane"
KINDS = ("png", "svg", "pdf")
COLUMNS = ("test_task", "embedding_of", "x", "y", "accuracy", "examples")


def write_plane(options: Options) -> None:
    """Tests the networks of a plane and writes its figure and its numbers; prints a line for each task, and the files.

    Raises:
        UserError: the run cannot be used, or not with these options, or the folder holds files of these names that are
            not of this program.
        OSError: the files cannot be written.
    """
    _require_own(options.output)
    trained = load(options.run, options.device, options.trusted)
    generating(trained)
    wanted = [trained.learned(number) for number in options.tasks] or sorted({0, len(trained.classes) - 1})
    grid = grid_around(TrainedLearner(trained).task_embeddings.cpu().double().numpy(), options.points)
    if options.data_dir is not None:
        trained = replace(trained, data_dir=options.data_dir)
    tasks = own_tasks(trained, f"run={options.run}")
    found = []
    for task in wanted:
        found.append(panel(trained, grid, tasks[task], options.examples))
        print(_summary(found[-1]), flush=True)
    figure = plane_figure(grid, found, remarks(trained, grid, found), options.form)
    files = {kind: encoded(figure, kind) for kind in KINDS} | {"csv": csv_text(_rows(grid, found)).encode()}
    options.output.mkdir(parents=True, exist_ok=True)
    for kind in ("csv", *KINDS):  # by the table, the others are known as ours
        write_atomically(options.output / f"{NAME}.{kind}", files[kind])
        print(options.output / f"{NAME}.{kind}")


def remarks(trained: Trained, grid: Grid, found: Sequence[Panel]) -> list[str]:
    """Returns what is written below the figure: which run it shows, what colours and discs mean, and how it was tested.

    Args:
        trained: the trained learner.
        grid: the points.
        found: the panels.
    """
    plan, size = trained.plan, grid.embeddings.shape[1]
    run = f"{plan.method.name}, {plan.benchmark.name}, {plan.scenario.name}, seed {plan.seed}"
    lines = [
        printable(run),
        f"Colours: accuracy of the network generated at each of {len(grid.x)} x {len(grid.y)} points, on the task's "
        f"test examples ({_examples(found)}), among its own classes.",
        "Discs: embeddings of all tasks after the last one; the panel's own is coloured.",
    ]
    if grid.plane.shares is not None:
        lines.append(
            f"Embeddings of {size} numbers, projected onto their first two principal components (PC). The plane of a "
            "panel goes through its own task's embedding; the others lie beside it."
        )
    return lines


def _examples(found: Sequence[Panel]) -> str:
    """Says how many test examples the panels have, and if they are a part, the largest standard error."""
    counts = [
        f"all {one.available:,}" if one.examples == one.available else f"{one.examples:,} of {one.available:,}"
        for one in found
    ]
    alike = len(set(counts)) == 1
    words = counts[:1] if alike else [f"task {one.task + 1}: {n}" for one, n in zip(found, counts, strict=True)]
    drawn = [one.examples for one in found if one.examples < one.available]
    if drawn:
        error = 50 / math.sqrt(min(drawn))  # points, of a share of a half
        words.append(f"a part is drawn at random, for a standard error up to {error:.1f} points")
    return "; ".join(words)


def _summary(panel: Panel) -> str:
    own, least, most = (
        f"{100 * share:.2f}"
        for share in (panel.at_embeddings[panel.task], panel.accuracies.min(), panel.accuracies.max())
    )
    return f"task {panel.task + 1}: {own} % at its own embedding, {least} to {most} % on the plane"


def _rows(grid: Grid, found: Sequence[Panel]) -> Iterator[Sequence[object]]:
    yield COLUMNS
    for one in found:
        for task, (x, y) in enumerate(grid.plane.points.tolist()):
            yield one.task + 1, task + 1, x, y, float(one.at_embeddings[task]), one.examples
        for (row, column), accuracy in np.ndenumerate(one.accuracies):
            yield one.task + 1, "", float(grid.x[column]), float(grid.y[row]), float(accuracy), one.examples


def _require_own(folder: Path) -> None:
    """Checks that the files may be written to a folder, which need not exist.

    Raises:
        UserError: it is no folder, or holds files of these names that this program has not written.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"output={folder}: is no folder; give another one")
    if _is_table(folder / f"{NAME}.csv"):
        return
    for name in (f"{NAME}.{kind}" for kind in ("csv", *KINDS)):
        if os.path.lexists(folder / name):
            raise UserError(f"output={folder}: {name} there was not written by hnet_cl.plane; give another folder")


def _is_table(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.readline(200).rstrip() == ",".join(COLUMNS).encode()

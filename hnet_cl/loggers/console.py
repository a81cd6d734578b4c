"""What a run shows on the console: progress while it trains and a summary at the end."""

import time
from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import fmean
from types import TracebackType
from typing import Self

import numpy as np
from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from hnet_cl.records.metrics import Matrix
from hnet_cl.records.run_folder import EMBEDDED_DIGITS

WHOLE_MATRIX_UP_TO = 12  # tasks; beyond, only the diagonal and the last row are printed
BLOCK = 20  # tasks under each other when many are listed


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.speed
        return Text("" if speed is None else f"{speed:.0f} it/s" if speed >= 10 else f"{speed:.2f} it/s")


class ConsoleLog:
    """A progress bar over the whole run on a terminal, else one plain line per finished task.

    A run that continues says so, and where.

    Use as a context manager, or call `close`, so that an exception or Ctrl-C leaves the terminal as it was.

    Args:
        console: where to write.
        task_names: (T,) names of the tasks.
        iterations: (T,) iterations of each task.
        label: begins each plain line, where several runs write to the console.
    """

    def __init__(self, console: Console, task_names: Sequence[str], iterations: Sequence[int], label: str = "") -> None:
        self._console = console
        self._task_names = task_names
        self._label = label and f"{label}: "
        self._iterations = iterations
        self._before = [0, *accumulate(iterations)]  # iterations of all tasks before each
        self._started = time.perf_counter()
        self._begun = False
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            TextColumn("{task.percentage:3.0f}%"),
            _RateColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False, table_column=Column(ratio=2, no_wrap=True)),
            console=console,
            disable=not console.is_interactive,
            expand=True,
        )
        self._run = self._bar.add_task("", total=self._before[-1], detail="")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin_task(self, task: int, iteration: int) -> None:
        """Training of `task` starts, or continues after `iteration` iterations."""
        done = self._before[task] + iteration
        if done and not self._begun:
            places = [f"task {task}"] if task else []
            places += [f"iteration {iteration} of {self._iterations[task]} of task {task + 1}"] if iteration else []
            self._print(f"This run continues after {', '.join(places)}.")
        self._begun = True
        self._bar.update(self._run, completed=done, description=f"task {task + 1}/{len(self._task_names)}")
        self._bar.start()

    def losses(self, task: int, iteration: int, losses: Mapping[str, float]) -> None:
        """Named losses of an iteration (counted from 1 within the task)."""
        detail = "  ".join(f"{name} {value:.3g}" for name, value in losses.items())
        self._bar.update(self._run, completed=self._before[task] + iteration, detail=detail)

    def end_task(self, task: int) -> None:
        """Training of `task` is over; what follows until `row` is evaluation."""
        self._bar.update(self._run, detail="evaluating")

    def samples(self, task: int, pictures: np.ndarray | None, recognised: Sequence[float], real: float) -> None:
        """Samples are no text."""

    def row(
        self, task: int, accuracies: Sequence[float | None], inferred: Sequence[Sequence[int]] | None = None
    ) -> None:
        """Row `task` of the accuracy matrix: (T,) fractions, None where not evaluated; and (T, T) counts of tasks."""
        seen = [value for value in accuracies[: task + 1] if value is not None]
        mean = f"mean accuracy so far {_percent(fmean(seen))}"
        self._bar.update(self._run, detail=mean)
        if not self._console.is_interactive:
            count = f"task {task + 1}/{len(self._task_names)}"
            elapsed = time.perf_counter() - self._started
            self._print(f"{count} ({self._task_names[task]}): {mean}, {elapsed:.1f} s")

    def close(self) -> None:
        """Take the bar off; the terminal is as it was."""
        self._bar.stop()

    def _print(self, line: str) -> None:
        self._console.print(f"{self._label}{line}", markup=False, highlight=False, soft_wrap=True)


def print_summary(
    matrix: Matrix,
    metrics: Mapping[str, float | None],
    task_names: Sequence[str],
    data_name: str,
    console: Console,
) -> None:
    """Print the accuracy matrix and the metrics of a run.

    The whole matrix up to 12 tasks if it fits the console's width, else its diagonal and last row.

    Args:
        matrix: n >= 1 finished rows of T fractions.
        metrics: what `hnet_cl.records.metrics.summary` returns; older versions may have returned less.
        task_names: (T,) names of the tasks.
        data_name: identity of the data; the embedded excerpt of MNIST brings a warning.
        console: where to write.
    """
    table: RenderableType = _matrix_table(matrix)
    # Measured on an endless line: else rich answers with the console's own width.
    width = Measurement.get(console, console.options.update(width=10_000), table).maximum
    if len(matrix[0]) > WHOLE_MATRIX_UP_TO or width > console.width:
        table = _diagonal_and_last_row(matrix, task_names)
    console.print(f"\nAccuracy on each task in % (data: {data_name})", markup=False, highlight=False)
    console.print(table)
    console.print(_metrics_table(metrics))
    if data_name.startswith(EMBEDDED_DIGITS):
        console.print(
            f"Warning: the data are {EMBEDDED_DIGITS}, 5,000 digits instead of MNIST's 70,000: "
            "results are not comparable with published ones.",
            style="bold yellow",
            highlight=False,
        )


def _matrix_table(matrix: Matrix) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("after task", justify="right", no_wrap=True)
    for number in range(1, len(matrix[0]) + 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    for number, row in enumerate(matrix, start=1):
        cells = [_cell(value) for value in row]
        table.add_row(str(number), *cells)
    return table


def _diagonal_and_last_row(matrix: Matrix, task_names: Sequence[str]) -> RenderableType:
    """Each finished task with its accuracy right after learning it and after the last task."""
    blocks = []
    for first in range(0, len(matrix), BLOCK):
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("task", no_wrap=True)
        table.add_column("during", justify="right", no_wrap=True)
        table.add_column("final", justify="right", no_wrap=True)
        for task in range(first, min(first + BLOCK, len(matrix))):
            table.add_row(Text(task_names[task]), _cell(matrix[task][task]), _cell(matrix[-1][task]))
        blocks.append(table)
    return Columns(blocks)


def _metrics_table(metrics: Mapping[str, float | None]) -> Table:
    lines = [
        ("ACC (mean accuracy at the end)", _percent(metrics.get("acc"))),
        ("95 % interval of ACC (from the number of test examples)", _interval(metrics)),
        ("during (mean accuracy right after learning)", _percent(metrics.get("during"))),
        ("BWT (backward transfer)", _points(metrics.get("bwt"))),
        ("forgetting (best before the end, minus end)", _points(metrics.get("forgetting"))),
        ("majority class (always the most frequent label)", _percent(metrics.get("majority"))),
    ]
    if metrics.get("task_inference") is not None:
        lines.append(("task inference (right task found)", _percent(metrics.get("task_inference"))))
    if (recognised := metrics.get("recognised")) is not None:
        real = _percent(metrics.get("recognised_real"))
        lines.append((f"recognised samples (of real images: {real})", _percent(recognised)))
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for label, value in lines:
        table.add_row(label, value)
    return table


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


def _interval(metrics: Mapping[str, float | None]) -> str:
    low, high = metrics.get("acc_low"), metrics.get("acc_high")
    return "-" if low is None or high is None else f"{100 * low:.2f} to {100 * high:.2f} %"


def _points(fraction: float | None) -> str:
    return "needs two tasks" if fraction is None else f"{100 * fraction:+.2f} points"


def _cell(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.1f}"

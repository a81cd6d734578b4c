"""The console output of a run: progress during training and a summary at the end."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from hnet_cl.core.scores import ACCURACY, Score
from hnet_cl.records.logger import Logger
from hnet_cl.records.metrics import Matrix
from hnet_cl.records.metrics_table import METRICS, lines
from hnet_cl.records.run_folder import EMBEDDED_DIGITS
from hnet_cl.records.run_state import RunState

WHOLE_MATRIX_UP_TO = 12  # tasks; with more, only the diagonal and the last row are printed
BLOCK = 20  # tasks in one column when many are listed


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.speed
        return Text("" if speed is None else f"{speed:.0f} it/s" if speed >= 10 else f"{speed:.2f} it/s")


class ConsoleLog(Logger):
    """A progress bar over the whole run on a terminal, otherwise one plain line per finished task.

    A continued run prints where it continues. When the run ends, the bar stops and the terminal is restored.

    Args:
        console: where to write.
        label: prefix of each plain line, for several runs that write to the same console.
    """

    def __init__(self, console: Console, label: str = "") -> None:
        super().__init__()
        self._console = console
        self._label = label and f"{label}: "
        self._started = time.perf_counter()
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
        self._run = self._bar.add_task("", detail="")

    def begin_run(self, state: RunState) -> None:
        """Sets up the bar, and prints where a continued run continues."""
        self._bar.update(self._run, total=state.iterations_in_all, completed=state.iterations_done)
        if state.iterations_done:
            learned, iteration = state.learned, state.iteration
            places = [f"task {learned}"] if learned else []
            whole = state.iterations[learned] if iteration else 0
            places += [f"iteration {iteration} of {whole} of task {learned + 1}"] if iteration else []
            self._print(f"This run continues after {', '.join(places)}.")

    def begin_task(self, state: RunState) -> None:
        """Shows which task is being learned."""
        task = f"task {state.task + 1}/{len(state.iterations)}"
        self._bar.update(self._run, completed=state.iterations_done, description=task)
        self._bar.start()

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        """Shows the losses next to the bar."""
        detail = "  ".join(f"{name} {value:.3g}" for name, value in losses.items())
        self._bar.update(self._run, completed=state.iterations_done, detail=detail)

    def end_task(self, state: RunState) -> None:
        """Shows that the task is being evaluated."""
        self._bar.update(self._run, detail="evaluating")

    def row(self, state: RunState) -> None:
        """Shows the mean score so far."""
        main = state.score.main
        mean = f"mean {state.score.title} so far {METRICS[main].in_unit(state.metrics[main])}"
        self._bar.update(self._run, detail=mean)
        if not self._console.is_interactive:
            count = f"task {state.learned}/{len(state.iterations)}"
            elapsed = time.perf_counter() - self._started
            self._print(f"{count} ({state.task_names[state.task]}): {mean}, {elapsed:.1f} s")

    def end_run(self, state: RunState) -> None:
        """Stops the bar."""
        self._bar.stop()

    def _print(self, line: str) -> None:
        self._console.print(f"{self._label}{line}", markup=False, highlight=False, soft_wrap=True)


def print_introduction(facts: Mapping[str, Any], choices: Sequence[str], label: str, console: Console) -> None:
    """Prints the preset of a run that starts, the sizes of its networks, and what else was chosen for the user.

    Args:
        facts: `method`, `benchmark`, `preset` and `parameters` as in result.json.
        choices: one line for each other automatic choice.
        label: prefix of each line, for several runs that write to the same console.
        console: where to write.
    """
    preset, sizes = facts["preset"], facts["parameters"]
    ratio = f"compression ratio {sizes['compression_ratio']:.3g}"
    pair = f"for method {facts['method']} on {facts['benchmark']}"
    lines = [
        f"Preset {preset}, {pair}." if preset else f"No preset {pair}: the method's own defaults.",
        f"Sizes: target network {sizes['target']:,} weights, {sizes['trainable']:,} trainable in all ({ratio}).",
        *choices,
    ]
    for line in lines:
        text = f"{label}: {line}" if label else line
        console.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


def print_summary(
    matrix: Matrix,
    metrics: Mapping[str, float | None],
    task_names: Sequence[str],
    data_name: str,
    console: Console,
    score: Score = ACCURACY,
    memory: Mapping[str, float | None] | None = None,
) -> None:
    """Prints the matrix of scores and the metrics of a run.

    Prints the whole matrix for up to 12 tasks if it fits the console's width, otherwise its diagonal and last row.

    Args:
        matrix: n >= 1 finished rows of T scores.
        metrics: as in result.json; those of older versions may be incomplete.
        task_names: (T,) names of the tasks.
        data_name: name of the data; for the embedded excerpt of MNIST a warning is printed.
        console: where to write.
        score: what the matrix holds.
        memory: bytes that the method keeps, in all (`total`) and by part; None if unknown.
    """
    table: RenderableType = _matrix_table(matrix, score)
    # Measured with a very large width: rich never reports more than the width it is given.
    width = Measurement.get(console, console.options.update(width=10_000), table).maximum
    if len(matrix[0]) > WHOLE_MATRIX_UP_TO or width > console.width:
        table = _diagonal_and_last_row(matrix, task_names, score)
    what = score.title[0].upper() + score.title[1:] + " on each task" + (f" in {score.unit}" if score.unit else "")
    console.print(f"\n{what} (data: {data_name})", markup=False, highlight=False)
    console.print(table)
    console.print(_metrics_table(metrics, score))
    if memory:
        console.print(_memory_line(memory), markup=False, highlight=False, soft_wrap=True)
    if data_name.startswith(EMBEDDED_DIGITS):
        console.print(
            f"Warning: the data are {EMBEDDED_DIGITS}, 5,000 digits instead of MNIST's 70,000: "
            "results are not comparable with published ones.",
            style="bold yellow",
            highlight=False,
        )


def _matrix_table(matrix: Matrix, score: Score) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("after task", justify="right", no_wrap=True)
    for number in range(1, len(matrix[0]) + 1):
        table.add_column(str(number), justify="right", no_wrap=True)
    for number, row in enumerate(matrix, start=1):
        cells = [_cell(value, score) for value in row]
        table.add_row(str(number), *cells)
    return table


def _diagonal_and_last_row(matrix: Matrix, task_names: Sequence[str], score: Score) -> RenderableType:
    """Lists each finished task with its score right after learning it and after the last task."""
    blocks = []
    for first in range(0, len(matrix), BLOCK):
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("task", no_wrap=True)
        table.add_column("during", justify="right", no_wrap=True)
        table.add_column("final", justify="right", no_wrap=True)
        for task in range(first, min(first + BLOCK, len(matrix))):
            cells = (_cell(matrix[row][task], score) for row in (task, -1))
            table.add_row(Text(task_names[task]), *cells)
        blocks.append(table)
    return Columns(blocks)


def _metrics_table(metrics: Mapping[str, float | None], score: Score) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for label, value in lines(metrics, score):
        table.add_row(label, value)
    return table


def _memory_line(memory: Mapping[str, float | None]) -> str:
    """Returns in words the bytes that a method keeps, by part."""
    return "Memory in bytes: " + ", ".join(f"{part} {number:,}" for part, number in memory.items() if part != "total")


def _cell(value: float | None, score: Score) -> str:
    return "" if value is None else score.shown(value)

"""The console output at the end of a run: matrix, metrics, times and the commands that come next."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hnet_cl.core.chosen import packages, strange, targets
from hnet_cl.core.plain_text import duration
from hnet_cl.core.protocol import told_by
from hnet_cl.core.scores import ACCURACY, SCORES, Score
from hnet_cl.loggers.introduction import say
from hnet_cl.records.metrics import Matrix
from hnet_cl.records.metrics_table import METRICS, lines
from hnet_cl.records.run_folder import EMBEDDED_DIGITS, STAND_IN_WARNING
from hnet_cl.records.run_result import RunResult

WHOLE_MATRIX_UP_TO = 12  # tasks; with more, only the diagonal and the last row are printed
EACH_TASK_UP_TO = 40  # tasks; with more, means over blocks of ten are printed
BLOCK = 20  # tasks in one column when many are listed
TENS = 10  # tasks of which a mean is printed when there are very many
EVENTS = "events.out.tfevents.*"


def show(
    done: RunResult, folder: Path, config: Mapping[str, Any], label: str, console: Console, again: bool = False
) -> None:
    """Prints the results of a finished run: one line if it has a label, else all of them and its folder.

    Args:
        done: its result.json.
        folder: its run folder.
        config: its configuration.
        label: what its lines begin with, for a job of a sweep.
        console: where to write.
        again: whether it was finished before.
    """
    score = SCORES[done.score]
    if again:
        say(f"This run is finished already (data: {done.data.name}); fresh=true runs it again.", label, console, "")
    if label:
        shown = [f"{METRICS[score.main].title} {METRICS[score.main].in_unit(done.metrics[score.main])}"]
        if (lost := done.metrics.get(score.loss)) is not None:
            shown.append(f"{METRICS[score.loss].title} {METRICS[score.loss].in_unit(lost)}")
        shown += filter(None, [told_by(done.scenario)])
        say(f"{', '.join(shown)}, {duration(done.wall_time_s)}", label, console, style="")
        return
    names = [f"task {number + 1}" for number in range(done.num_tasks)]
    data = ", ".join(filter(None, [done.data.name, told_by(done.scenario)]))
    print_summary(done.scores, done.metrics, names, data, console, score, done.memory_bytes)
    say(f"Time: {duration(done.wall_time_s)}, of which training {duration(done.train_time_s)}.", "", console)
    say("\n".join(["Next:", *(f"  {command}" for command in next_commands(done, folder, config))]), "", console)
    print(folder)


def _memory_line(memory: Mapping[str, float | None]) -> str:
    """Returns in words the bytes that a method keeps, by part."""
    return "Memory in bytes: " + ", ".join(f"{part} {number:,}" for part, number in memory.items() if part != "total")


def next_commands(done: RunResult, folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Returns the commands with which one goes on from a finished run: its table, its curves, and its answers."""
    runs = str(config["output_dir"] if folder.is_relative_to(config["output_dir"]) else folder)
    commands = [["python", "-m", "hnet_cl.report", runs]]
    if any(folder.glob(EVENTS)):
        commands.append(["tensorboard", "--logdir", runs])
    if SCORES[done.score] is ACCURACY:
        images = len(done.in_shape or ()) == 3
        task = ["task=1"] if images and config["scenario"]["task_known"] else []
        inputs = "input=FILES" if images else "input=test"
        trust = [f"trust={packages(found.values())}"] if (found := strange(dict(targets(config)))) else []
        commands.append(["python", "-m", "hnet_cl.predict", f"run={folder}", inputs, *task, *trust])
    return [shlex.join(words) for words in commands]


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

    Prints the whole matrix for up to 12 tasks if it fits the console's width, otherwise its diagonal and last row, and
    for more than 40 tasks their means over ten tasks each.

    Args:
        matrix: n >= 1 finished rows of T scores.
        metrics: as in result.json; those of older versions may be incomplete.
        task_names: (T,) names of the tasks.
        data_name: name of the data, with that of the protocol if it is another one; for the embedded excerpt of MNIST a
            warning is printed.
        console: where to write.
        score: what the matrix holds.
        memory: bytes that the method keeps, in all (`total`) and by part; None if unknown.
    """
    table: RenderableType = _matrix_table(matrix, score)
    # Measured with a very large width: rich never reports more than the width it is given.
    width = Measurement.get(console, console.options.update(width=10_000), table).maximum
    if len(matrix) > EACH_TASK_UP_TO:
        table = _means_of_tens(matrix, score)
    elif len(matrix[0]) > WHOLE_MATRIX_UP_TO or width > console.width:
        table = _diagonal_and_last_row(matrix, task_names, score)
    what = score.title[0].upper() + score.title[1:] + " on each task" + (f" in {score.unit}" if score.unit else "")
    console.print(f"\n{what} (data: {data_name})", markup=False, highlight=False)
    console.print(table)
    console.print(_metrics_table(metrics, score))
    if memory:
        console.print(_memory_line(memory), markup=False, highlight=False, soft_wrap=True)
    if data_name.startswith(EMBEDDED_DIGITS):
        console.print(STAND_IN_WARNING, style="bold yellow", highlight=False)


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


def _means_of_tens(matrix: Matrix, score: Score) -> Table:
    """Lists, for every ten tasks, their mean scores right after learning and at the end, and the worst one at the end.

    Scores that an old result lacks are left out.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("tasks", "during", "final", "worst final"):
        table.add_column(name, justify="left" if name == "tasks" else "right", no_wrap=True)
    for first in range(0, len(matrix), TENS):
        tasks = range(first, min(first + TENS, len(matrix)))
        during = [value for task in tasks if (value := matrix[task][task]) is not None]
        final = {task: value for task in tasks if (value := matrix[-1][task]) is not None}
        worst = (min if score.higher_is_better else max)(final, key=lambda task: final[task])
        means = (score.shown(fmean(values)) for values in (during, final.values()))
        table.add_row(f"{first + 1} to {tasks[-1] + 1}", *means, f"{score.shown(final[worst])} (task {worst + 1})")
    return table


def _metrics_table(metrics: Mapping[str, float | None], score: Score) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for label, value in lines(metrics, score):
        table.add_row(label, value)
    return table


def _cell(value: float | None, score: Score) -> str:
    return "" if value is None else score.shown(value)

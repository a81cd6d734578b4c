"""What a run shows on a terminal, on anything else, and at its end."""

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from states import state

from hnet_cl.loggers.console import ConsoleLog, print_summary
from hnet_cl.records.metrics import BenchmarkFacts, Matrix
from hnet_cl.records.metrics_table import Evidence, summary
from hnet_cl.records.run_log import RunLog
from hnet_cl.records.run_state import Progress


def console(terminal: bool = False, width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, force_interactive=terminal, width=width)


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def matrix(tasks: int) -> list[list[float | None]]:
    return [[0.98 - 0.001 * (i - j) if j <= i else None for j in range(tasks)] for i in range(tasks)]


@contextmanager
def logged(
    out: Console, names: Sequence[str], iterations: Sequence[int], start: Progress | None = None, label: str = ""
) -> Iterator[RunLog]:
    """The log of a run that is shown on a console; the run ends with the block."""
    log = RunLog(state(Path("unused"), names, iterations, start), [ConsoleLog(out, label)], {})
    log.begin_run()
    try:
        yield log
    finally:
        log.end_run("finished")


def measured(rows: Matrix, benchmark_facts: BenchmarkFacts, **more: Sequence[Any]) -> dict[str, float | None]:
    return summary(Evidence(rows, benchmark_facts, **more))


def learn(log: RunLog, task: int, tasks: int, first: int = 0) -> None:
    log.begin_task(task, first)
    for iteration in range(first + 1, 11):
        log.losses(task, iteration, {"loss": 0.25, "regularizer": 1e-5})
    log.end_task(task)
    log.row(task, matrix(tasks)[task])


def test_plain_lines_without_a_terminal() -> None:
    out = console()
    with logged(out, ["zeros [0/1]", "ones"], [10] * 2, Progress(iteration=4)) as log:
        learn(log, 0, 2, first=4)
        learn(log, 1, 2)
    continues, *lines = text(out).splitlines()
    assert continues == "This run continues after iteration 4 of 10 of task 1."
    assert len(lines) == 2 and "\x1b" not in text(out)
    assert lines[0].startswith("task 1/2 (zeros [0/1]): mean accuracy so far 98.00 %, ")
    assert lines[1].startswith("task 2/2 (ones): mean accuracy so far 97.95 %, ")


@pytest.mark.parametrize(
    ("task", "iteration", "said"),
    [
        (0, 0, []),
        (1, 0, ["a/b: This run continues after task 1."]),
        (2, 7, ["a/b: This run continues after task 2, iteration 7 of 20 of task 3."]),
    ],
)
def test_a_run_that_continues_says_where(task: int, iteration: int, said: list[str]) -> None:
    out = console()
    start = Progress(matrix=matrix(4)[:task], iteration=iteration)
    with logged(out, ["x", "y", "z", "w"], [10, 10, 20, 10], start, "a/b") as log:
        log.begin_task(task, iteration)
        log.begin_task(task + 1, 0)
    assert text(out).splitlines() == said


def test_bar_on_a_terminal() -> None:
    out = console(terminal=True, width=100)
    with logged(out, ["a", "b"], [10, 30]) as log:
        learn(log, 0, 2)
        log.begin_task(1, 5)
        log.losses(1, 6, {"loss": 0.25})
        log._loggers[0]._bar.refresh()  # type: ignore[attr-defined]
        assert "task 2/2" in text(out) and "40%" in text(out) and "loss 0.25" in text(out)
        assert "it/s" in text(out)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_cursor_comes_back(error: type[BaseException]) -> None:
    out = console(terminal=True)
    with pytest.raises(error), logged(out, ["a"], [10]) as log:
        log.begin_task(0, 0)
        raise error
    assert text(out).count("\x1b[?25l") == text(out).count("\x1b[?25h") == 1


def test_closing_before_the_start_and_twice() -> None:
    out = console(terminal=True)
    log = ConsoleLog(out)
    for _ in range(2):
        log.end_run(state(Path("unused")))
    assert text(out) == ""


def test_whole_matrix_when_it_fits() -> None:
    out = console()
    print_summary(
        matrix(10),
        measured(matrix(10), BenchmarkFacts([0.1135] * 10, [10_000] * 10)),
        [str(i) for i in range(10)],
        "mnist",
        out,
    )
    shown = text(out)
    assert "after task" in shown and "…" not in shown and "Warning" not in shown
    for expected in ("97.1", "97.55 %", "98.00 %", "-0.50 points", "+0.50 points", "11.35 %", "97.23 %", "97.84 %"):
        assert expected in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


@pytest.mark.parametrize(("tasks", "width"), [(13, 200), (10, 40), (100, 80)])
def test_diagonal_and_last_row_when_it_does_not(tasks: int, width: int) -> None:
    out = console(width=width)
    names = [f"split {i}/{i + 1}" for i in range(tasks)]
    print_summary(
        matrix(tasks), measured(matrix(tasks), BenchmarkFacts([0.5] * tasks, [100] * tasks)), names, "mnist", out
    )
    shown = text(out)
    assert "after task" not in shown and "during" in shown and "…" not in shown
    assert all(name in shown for name in names)
    assert f"{98 - 0.1 * (tasks - 1):.1f}" in shown


def test_one_task_inferred_tasks_and_the_warning() -> None:
    out = console(width=200)
    values = measured([[0.9]], BenchmarkFacts([0.5], [100]), inferred=[[3, 1], [0, 0]])
    print_summary([[0.9]], values, ["a"], "mnist-5k", out)
    shown = text(out)
    assert shown.count("defined from two tasks on") == 2 and "75.00 %" in shown
    assert "not comparable with published ones" in shown


def test_the_data_are_named() -> None:
    out = console(width=80)
    print_summary([[0.9]], measured([[0.9]], BenchmarkFacts([0.5], [100])), ["a"], "mnist (validation)", out)
    assert "Accuracy on each task in % (data: mnist (validation))" in text(out)
    assert "not comparable" not in text(out)


def test_a_real_terminal_and_a_pipe() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from pathlib import Path; from rich.console import Console; from states import state\n"
        "from hnet_cl.loggers.console import ConsoleLog; from hnet_cl.records.run_log import RunLog\n"
        "log = RunLog(state(Path('unused'), ['a'], [10]), [ConsoleLog(Console())], {}); log.begin_run()\n"
        "log.begin_task(0, 0); log.losses(0, 10, {'loss': 1.0}); log.end_task(0); log.row(0, [0.5])\n"
        "log.end_run('finished')\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE")}
    environment |= {"TERM": "xterm", "COLUMNS": "80"}
    piped = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert piped.stdout.startswith(b"task 1/1 (a): mean accuracy so far 50.00 %") and b"\x1b" not in piped.stdout
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], env=environment, stdout=theirs, check=True, timeout=20)
    shown = os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    assert b"\x1b[?25h" in shown and b"100%" in shown


def test_summary_names_recognised_samples_where_there_are_any() -> None:
    for recognised in ([0.75, 0.9], None):
        out = console(width=200)
        values = measured(matrix(2), BenchmarkFacts([0.5, 0.5], [100, 100]), recognised=recognised)
        print_summary(matrix(2), values, ["a", "b"], "mnist", out)
        for label, value in (("recognised (generated samples", "75.00 %"), ("recognised real (", "90.00 %")):
            assert (label in text(out)) == (value in text(out)) == (recognised is not None)

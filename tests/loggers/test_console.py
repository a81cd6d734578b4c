"""What a run shows on a terminal, on anything else, and at its end."""

import io
import os
import pty
import subprocess
import sys

import pytest
from rich.console import Console

from hnet_cl.loggers.console import ConsoleLog, print_summary
from hnet_cl.records.metrics import Yardstick, summary


def console(terminal: bool = False, width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, force_interactive=terminal, width=width)


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def matrix(tasks: int) -> list[list[float | None]]:
    return [[0.98 - 0.001 * (i - j) if j <= i else None for j in range(tasks)] for i in range(tasks)]


def learn(log: ConsoleLog, task: int, tasks: int, first: int = 0) -> None:
    log.begin_task(task, first)
    for iteration in range(first + 1, 11):
        log.losses(task, iteration, {"loss": 0.25, "regularizer": 1e-5})
    log.end_task(task)
    log.row(task, matrix(tasks)[task])


def test_plain_lines_without_a_terminal() -> None:
    out = console()
    with ConsoleLog(out, ["zeros [0/1]", "ones"], iterations=[10] * 2) as log:
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
    with ConsoleLog(out, ["x", "y", "z", "w"], iterations=[10, 10, 20, 10], label="a/b") as log:
        log.begin_task(task, iteration)
        log.begin_task(task + 1, 0)
    assert text(out).splitlines() == said


def test_bar_on_a_terminal() -> None:
    out = console(terminal=True, width=100)
    with ConsoleLog(out, ["a", "b"], iterations=[10, 30]) as log:
        learn(log, 0, 2)
        log.begin_task(1, 5)
        log.losses(1, 6, {"loss": 0.25})
        log._bar.refresh()
        assert "task 2/2" in text(out) and "40%" in text(out) and "loss 0.25" in text(out)
        assert "it/s" in text(out)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_cursor_comes_back(error: type[BaseException]) -> None:
    out = console(terminal=True)
    with pytest.raises(error), ConsoleLog(out, ["a"], iterations=[10]) as log:
        log.begin_task(0, 0)
        raise error
    assert text(out).count("\x1b[?25l") == text(out).count("\x1b[?25h") == 1


def test_closing_before_the_start_and_twice() -> None:
    out = console(terminal=True)
    log = ConsoleLog(out, ["a"], iterations=[10])
    log.close()
    log.close()
    assert text(out) == ""


def test_whole_matrix_when_it_fits() -> None:
    out = console()
    print_summary(
        matrix(10),
        summary(matrix(10), Yardstick([0.1135] * 10, [10_000] * 10)),
        [str(i) for i in range(10)],
        "mnist",
        out,
    )
    shown = text(out)
    assert "after task" in shown and "…" not in shown and "Warning" not in shown
    for expected in ("97.1", "97.55 %", "98.00 %", "-0.50 points", "+0.50 points", "11.35 %", "97.23 to 97.84 %"):
        assert expected in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


@pytest.mark.parametrize(("tasks", "width"), [(13, 200), (10, 40), (100, 80)])
def test_diagonal_and_last_row_when_it_does_not(tasks: int, width: int) -> None:
    out = console(width=width)
    names = [f"split {i}/{i + 1}" for i in range(tasks)]
    print_summary(matrix(tasks), summary(matrix(tasks), Yardstick([0.5] * tasks, [100] * tasks)), names, "mnist", out)
    shown = text(out)
    assert "after task" not in shown and "during" in shown and "…" not in shown
    assert all(name in shown for name in names)
    assert f"{98 - 0.1 * (tasks - 1):.1f}" in shown


def test_one_task_inferred_tasks_and_the_warning() -> None:
    out = console(width=200)
    print_summary([[0.9]], summary([[0.9]], Yardstick([0.5], [100]), [[3, 1], [0, 0]]), ["a"], "mnist-5k", out)
    shown = text(out)
    assert shown.count("needs two tasks") == 2 and "75.00 %" in shown
    assert "not comparable with published ones" in shown


def test_the_data_are_named() -> None:
    out = console(width=80)
    print_summary([[0.9]], summary([[0.9]], Yardstick([0.5], [100])), ["a"], "mnist (validation)", out)
    assert "Accuracy on each task in % (data: mnist (validation))" in text(out)
    assert "not comparable" not in text(out)


def test_a_real_terminal_and_a_pipe() -> None:
    code = (
        "from rich.console import Console; from hnet_cl.loggers.console import ConsoleLog\n"
        "with ConsoleLog(Console(), ['a'], [10]) as log:\n"
        "    log.begin_task(0, 0); log.losses(0, 10, {'loss': 1.0}); log.end_task(0); log.row(0, [0.5])\n"
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
    for recognised, shown in (([0.75, 0.9], True), (None, False)):
        out = console()
        print_summary(
            matrix(2), summary(matrix(2), Yardstick([0.5, 0.5], [100, 100]), None, recognised), ["a", "b"], "mnist", out
        )
        assert ("recognised samples (of real images: 90.00 %)" in text(out)) == shown
        assert ("75.00 %" in text(out)) == shown

"""What a run shows on a terminal, on anything else, and at its end."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from states import state

from hnet_cl.loggers import console as console_log
from hnet_cl.loggers.console import ConsoleLog
from hnet_cl.loggers.run_summary import next_commands, print_summary, show
from hnet_cl.records.metrics import BenchmarkFacts, Matrix
from hnet_cl.records.metrics_table import Evidence, summary
from hnet_cl.records.run_folder import read_result
from hnet_cl.records.run_log import RunLog
from hnet_cl.records.run_result import RunResult
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
    assert re.fullmatch(r"task 1/2 \(zeros \[0/1\]\): accuracy 98.00 %, mean 98.00 %, \d\.\d s", lines[0])
    second = r"task 2/2 \(ones\): accuracy 98.00 %, mean 97.95 %, forgetting \+0.10 points, \d\.\d s"
    assert re.fullmatch(second, lines[1])


@pytest.mark.parametrize(("silent_s", "said"), [(0.0, 1), (60.0, 0)])
def test_a_job_of_a_sweep_says_little(silent_s: float, said: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of a task only after some silence, and none of the last task, whose line is that of the run."""
    monkeypatch.setattr(console_log, "QUIET_S", silent_s)
    out = console()
    with logged(out, ["a", "b"], [10] * 2, label="method=si seed=1") as log:
        learn(log, 0, 2)
        learn(log, 1, 2)
    lines = text(out).splitlines()
    assert len(lines) == said and all(line.startswith("method=si seed=1: task 1/2 (a): ") for line in lines)


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
        assert "it/s" in text(out) and re.search(r"task \d+:\d\d, run \d+:\d\d", text(out))


def test_the_bar_moves_with_every_step() -> None:
    out, plain = console(terminal=True, width=100), console(width=100)
    with logged(out, ["a"], [10]) as log:
        log.begin_task(0, 0)
        for iteration in (2, 5):
            log.state.iteration = iteration  # no losses are shown yet
            plain.print(log._loggers[0]._bar.get_renderable())  # type: ignore[attr-defined]
    first, second = text(plain).splitlines()
    assert "20%" in first and "50%" in second and "it/s" in second


@pytest.mark.parametrize(("label", "losses"), [("", ["loss 1.25e"]), ("method=hnet seed=10", [])])
def test_the_bar_has_the_training_accuracy_where_it_is_known(label: str, losses: list[str]) -> None:
    out, plain = console(terminal=True, width=80), console(width=80)
    with logged(out, ["a"] * 10, [1000] * 10, label=label) as log:
        log.begin_task(9, 0)
        for iteration, accuracy in ((1, None), (2, 0.5), (3, 1.0)):
            log.accuracy(9, iteration, accuracy)
            log.losses(9, iteration, {"loss": 1.25e-05, "regularizer": 0.0579})
        plain.print(log._loggers[0]._bar.get_renderable())  # type: ignore[attr-defined]
    (line,) = text(plain).splitlines()
    assert len(line) <= 80 and all(shown in line for shown in ("acc 100 %", *losses)), line


@pytest.mark.parametrize("label", ["", "method=hnet seed=10"])
def test_the_bar_is_one_line_of_eighty_columns(label: str) -> None:
    out, plain = console(terminal=True, width=80), console(width=80)
    with logged(out, ["a"] * 10, [1000] * 10, label=label) as log:
        log.begin_task(9, 0)
        for iteration in range(1, 4):
            log.losses(9, iteration, {"loss": 1.25e-05, "regularizer": 0.0579})
        plain.print(log._loggers[0]._bar.get_renderable())  # type: ignore[attr-defined]
    (line,) = text(plain).splitlines()
    assert line.startswith(f"{label} task 10/10 ".lstrip()) and "loss 1" in line and "it/s" in line
    assert re.search(r"task \d+:\d\d, run \d+:\d\d", line)


def test_what_tasks_came_to_stays_on_a_terminal() -> None:
    out = console(terminal=True, width=80)
    with logged(out, ["a long name of a task", "b"], [10, 10]) as log:
        learn(log, 0, 2)
        learn(log, 1, 2)
    assert re.search(r"task 1/2 \(a long name of a task\): accuracy 98.00 %, mean 98.00 %, \d\.\d s\n", text(out))
    out = console(terminal=True, width=60)
    with logged(out, ["a long name of a task", "b"], [10, 10]) as log:
        learn(log, 0, 2)
    assert re.search(r"task 1/2: accuracy 98.00 %, mean 98.00 %, \d\.\d s\n", text(out))  # the name does not fit


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


@pytest.mark.parametrize(("tasks", "width"), [(13, 200), (10, 40), (40, 80)])
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


def test_a_hundred_tasks_are_summarised_by_tens() -> None:
    out, rows = console(width=80), matrix(100)
    rows[-1][9], rows[-1][56] = 0.892, 0.5  # instead of 0.890 and 0.937
    print_summary(rows, measured(rows, BenchmarkFacts([0.5] * 100, [100] * 100)), ["x"] * 100, "mnist", out)
    lines = [line.split() for line in text(out).splitlines()]
    assert ["1", "to", "10", "98.0", "88.6", "88.1", "(task", "1)"] in lines  # mean of 0.881, 0.882, ...: 0.8857
    assert ["51", "to", "60", "98.0", "89.2", "50.0", "(task", "57)"] in lines  # 0.9355 less 0.0437
    assert len([line for line in lines if line[1:2] == ["to"]]) == 10


@pytest.mark.parametrize(
    ("known", "in_shape", "words"),
    [
        (True, [3, 32, 32], "input=FILES task=1"),
        (False, [1, 28, 28], "input=FILES"),
        (True, [2], "input=test"),
        (False, [], "input=test"),
    ],
)
def test_the_commands_that_come_next(
    known: bool, in_shape: list[int], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a" / "b" / "seed=1"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1").touch()
    facts = {"benchmark": "toy", "scenario": "cl1", "method": "hnet", "num_tasks": 1, "config_id": "a", "seed": 1}
    facts |= {"status": "finished", "error": None, "data": {"name": "toy", "checksum": "c"}, "metrics": {"acc": 0.5}}
    facts |= {"accuracy_matrix": [[0.5]], "wall_time_s": 125.0, "train_time_s": 59.4, "in_shape": in_shape}
    (folder / "result.json").write_text(json.dumps(facts))
    done = read_result(folder)
    assert done is not None
    out, config = console(width=60), {"output_dir": str(tmp_path), "scenario": {"task_known": known}}
    show(done, folder, config, "", out)
    lines = text(out).splitlines()
    assert lines[-5:] == [
        "Time: 2 min 5 s, of which training 59 s.",
        "Next:",
        f"  python -m hnet_cl.report {tmp_path}",
        f"  tensorboard --logdir {tmp_path}",
        f"  python -m hnet_cl.predict run={folder} {words}",
    ]
    assert capsys.readouterr().out == f"{folder}\n"
    one = console(width=60)
    show(done, folder, config, "method=si", one)
    assert text(one) == "method=si: ACC 50.00 %, 2 min 5 s\n" and capsys.readouterr().out == ""


def test_a_class_of_ones_own_is_trusted_in_the_next_command() -> None:
    facts = {"score": "accuracy", "in_shape": [2]}
    parts = [{"_target_": "torchvision.b.C"}]
    own = {"method": {"_target_": "mine.a.Method"}, "target": {"_target_": "mine.net.Net", "parts": parts}}
    config = {"output_dir": "runs", "scenario": {"task_known": True}, "benchmark": {"_target_": "hnet_cl.x.Y"}}
    done = RunResult.model_construct(**facts)
    (_, command), (_, plain) = (next_commands(done, Path("f"), config | part) for part in (own, {}))
    assert command == "python -m hnet_cl.predict run=f input=test trust=mine,torchvision"
    assert plain == "python -m hnet_cl.predict run=f input=test"


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
    assert piped.stdout.startswith(b"task 1/1 (a): accuracy 50.00 %, mean 50.00 %, ") and b"\x1b" not in piped.stdout
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], env=environment, stdout=theirs, check=True, timeout=20)
    shown = os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    assert b"\x1b[?25h" in shown and b"task 1/1 (a): accuracy 50.00 %" in shown


def test_summary_names_recognised_samples_where_there_are_any() -> None:
    for recognised in ([0.75, 0.9], None):
        out = console(width=200)
        values = measured(matrix(2), BenchmarkFacts([0.5, 0.5], [100, 100]), recognised=recognised)
        print_summary(matrix(2), values, ["a", "b"], "mnist", out)
        for label, value in (("recognised (generated samples", "75.00 %"), ("recognised real (", "90.00 %")):
            assert (label in text(out)) == (value in text(out)) == (recognised is not None)

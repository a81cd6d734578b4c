"""The files of a run folder: their content, and that a kill or a full disk never leaves half of one."""

import csv
import json
import math
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from states import facts

from hnet_cl.core import atomic_files as files
from hnet_cl.records import provenance, run_state
from hnet_cl.records.metrics import BenchmarkFacts
from hnet_cl.records.recorder import RunRecorder
from hnet_cl.records.run_folder import read_result
from hnet_cl.records.run_log import RunLog
from hnet_cl.records.run_result import KEYS as SCHEMA_KEYS
from hnet_cl.records.run_state import Progress, RunState

FACTS = facts(["ones, twos", "threes"])
LATER = ("mse_matrix", "nmse_matrix")  # keys of the schema that such a run does not have


class Recorded(RunLog):
    """The log of a run that is recorded and not otherwise logged."""

    def __init__(self, folder: Path, start: Progress) -> None:
        state = RunState(folder, FACTS, {}, [4, 4], BenchmarkFacts([0.5, 0.7], [40, 80]), start)
        self.recorder = RunRecorder(state, start.losses)
        super().__init__(state, [self.recorder], {})

    def progress(self, iteration: int) -> Progress:
        self.save(iteration)
        return self.state.progress(self.recorder.lines)

    def finish(self) -> None:
        self.recorder.finish(self.state)

    def fail(self, error: str) -> None:
        self.recorder.fail(self.state, error)


def start(folder: Path, progress: Progress | None = None) -> Recorded:
    return Recorded(folder, progress or Progress())


def learn(run: Recorded, task: int, row: list[float | None], first: int = 1) -> None:
    run.begin_task(task, first - 1)
    for iteration in range(first, 5):
        run.losses(task, iteration, {"loss": 1 / iteration})
    run.end_task(task)
    run.row(task, row)


def rows(folder: Path, name: str = "metrics.csv") -> list[list[str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.reader(file))


def strict(folder: Path) -> dict:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((folder / "result.json").read_text(), parse_constant=refuse)


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "seed=0"
    run = start(folder)
    result = strict(folder)
    assert list(result) == [key for key in SCHEMA_KEYS if key not in LATER]
    assert (result["status"], result["tasks_done"], result["accuracy_matrix"]) == ("running", 0, [])

    learn(run, 0, [0.8, None])
    result = strict(folder)
    assert (result["status"], result["tasks_done"], result["iterations"]) == ("running", 1, 4)
    assert result["metrics"]["acc"] == 0.8 and result["metrics"]["bwt"] is None

    learn(run, 1, [0.6, 0.9])
    run.finish()
    result = strict(folder)
    assert (result["status"], result["error"], result["iterations"]) == ("finished", None, 8)
    assert result["accuracy_matrix"] == [[0.8, None], [0.6, 0.9]]
    assert result["metrics"]["majority"] == pytest.approx(0.6)
    assert [result[key] for key in ("dataset", "target", "preset")] == ["mnist", "mlp_1000", "pmnist/hnet"]
    assert result["parameters"] == FACTS.parameters and result["data"] == FACTS.data
    assert result["in_shape"] == FACTS.in_shape and result["tasks"] == FACTS.tasks
    assert 0 <= result["train_time_s"] <= result["wall_time_s"] < 60
    assert 10 < result["peak_memory_mb"] < 100_000
    assert result["versions"]["torch"] and result["versions"]["hnet_cl"]
    assert rows(folder, "accuracy_matrix.csv") == [["ones, twos", "threes"], ["0.8", ""], ["0.6", "0.9"]]
    assert rows(folder)[:3] == [
        ["task", "iteration", "name", "value"],
        ["0", "1", "loss", "1.0"],
        ["0", "2", "loss", "0.5"],
    ]
    assert len(rows(folder)) == 9
    assert sorted(path.name for path in folder.iterdir()) == [
        "accuracy_matrix.csv",
        "metrics.csv",
        "result.json",
    ]
    assert read_result(folder) == result


def test_evaluation_does_not_count_as_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(run_state.time, "perf_counter", lambda: now)
    run = start(tmp_path, Progress(wall_time_s=10, train_time_s=5))
    now += 1
    run.begin_task(0, 0)
    now += 20
    assert run.progress(3).train_time_s == 25
    now += 4
    run.window(0, 3, [], 4.0)  # a test of old tasks took 4 s
    assert run.progress(3).train_time_s == 25
    now += 20
    run.end_task(0)
    now += 300
    run.row(0, [0.8, None])
    result = strict(tmp_path)
    assert (result["train_time_s"], result["wall_time_s"]) == (45, 355)


def test_a_continued_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, broken = start(tmp_path / "whole"), start(tmp_path / "broken")
    learn(whole, 0, [0.8, None])
    learn(whole, 1, [0.6, 0.9])
    learn(broken, 0, [0.8, None])
    broken.begin_task(1, 0)
    broken.losses(1, 1, {"loss": 1.0})
    broken.losses(1, 2, {"loss": 0.5})
    checkpoint = broken.progress(2)
    broken.losses(1, 3, {"loss": 1 / 3})
    broken.losses(1, 4, {"loss": 0.25})
    broken.row(1, [0.1, 0.1])
    with (tmp_path / "broken" / "metrics.csv").open("a") as file:
        file.write("1,5,lo")  # cut short by the kill

    again = start(tmp_path / "broken", checkpoint)
    assert strict(tmp_path / "broken")["accuracy_matrix"] == [[0.8, None]]
    assert strict(tmp_path / "broken")["iterations"] == 6
    learn(again, 1, [0.6, 0.9], first=3)
    for run in (whole, again):
        run.finish()
    for name in ("metrics.csv", "accuracy_matrix.csv"):
        assert rows(tmp_path / "broken", name) == rows(tmp_path / "whole", name)
    same = ("status", "iterations", "accuracy_matrix", "metrics", "tasks_done")
    one, other = strict(tmp_path / "broken"), strict(tmp_path / "whole")
    assert {key: one[key] for key in same} == {key: other[key] for key in same}


def test_recognised_samples_are_metrics_and_survive(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.begin_task(0, 0)
    run.losses(0, 4, {"loss": 1.0})
    run.end_task(0)
    run.samples(0, None, [0.9], 0.95)
    run.row(0, [0.8, None])
    assert rows(tmp_path)[2:] == [["0", "4", "recognised/task_1", "0.9"], ["0", "4", "recognised/real", "0.95"]]
    run.samples(1, None, [0.7, 0.8], 0.9)
    run.progress(4)
    run.fail("between samples and row")
    assert strict(tmp_path)["metrics"]["recognised"] == 0.9, "what was recognised after the last finished task"
    run.row(1, [0.6, 0.9])
    again = start(tmp_path, Progress(**asdict(run.progress(0))))
    again.finish()
    metrics = strict(tmp_path)["metrics"]
    assert metrics["recognised"] == pytest.approx(0.75) and metrics["recognised_real"] == 0.9


def test_losses_before_a_checkpoint_survive_a_kill(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.begin_task(0, 0)
    run.losses(0, 1, {"loss": 1.0})
    assert len(rows(tmp_path)) == 1  # buffered
    run.progress(1)
    assert len(rows(tmp_path)) == 2


def test_a_fresh_run_keeps_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    learn(start(tmp_path), 0, [0.8, None])
    start(tmp_path)
    assert len(rows(tmp_path)) == 1
    assert rows(tmp_path, "accuracy_matrix.csv") == [["ones, twos", "threes"]]


def test_nan_becomes_null(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.begin_task(0, 0)
    run.losses(0, 1, {"loss": math.nan})
    run.row(0, [math.nan, None])
    result = strict(tmp_path)
    assert result["accuracy_matrix"] == [[None, None]] and result["metrics"]["acc"] is None
    assert rows(tmp_path)[1] == ["0", "1", "loss", "nan"]


def test_failure_is_recorded_with_what_was_done(tmp_path: Path) -> None:
    run = start(tmp_path)
    learn(run, 0, [0.8, None])
    run.fail("loss is nan at iteration 3 of task 2")
    result = strict(tmp_path)
    assert (result["status"], result["tasks_done"]) == ("failed", 1)
    assert result["error"] == "loss is nan at iteration 3 of task 2"


def test_a_full_disk_keeps_the_old_file_and_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path)
    before = (tmp_path / "result.json").read_text()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        run.finish()
    run.fail("disk full")
    assert (tmp_path / "result.json").read_text() == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"status": '])
def test_no_result_to_read(tmp_path: Path, content: str) -> None:
    assert read_result(tmp_path) is None
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(ValueError, match=r"^is not a result of hnet_cl \(not (JSON|a JSON object)"):
        read_result(tmp_path)
    (tmp_path / "result.json").write_text('{"schema": 99}')
    with pytest.raises(ValueError, match=r"^was made by a newer version"):
        read_result(tmp_path)


def test_commit_of_a_checkout_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert provenance.git_commit(tmp_path) is None
    git("init")
    assert provenance.git_commit(tmp_path) is None  # no commit yet
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-m", "a")
    commit = git("rev-parse", "HEAD")
    assert provenance.git_commit(tmp_path) == commit
    inner = tmp_path / "site-packages"
    inner.mkdir()
    assert provenance.git_commit(inner) is None
    (tmp_path / "file").write_text("b")
    assert provenance.git_commit(tmp_path) == f"{commit}-dirty"
    monkeypatch.setenv("PATH", "")
    assert provenance.git_commit(tmp_path) is None


def test_scores_within_the_window_survive_an_interruption(tmp_path: Path) -> None:
    run = start(tmp_path)
    learn(run, 0, [0.9, None])
    run.begin_task(1, 0)
    run.window(1, 1, [0.25], 0.0)
    kept = asdict(run.progress(1))
    run.window(1, 2, [0.5], 0.0)  # after the checkpoint
    assert kept["window"] == [{"task": 1, "iteration": 1, "scores": [0.25]}]
    again = start(tmp_path, Progress(**kept))
    again.begin_task(1, 1)
    again.window(1, 2, [0.75], 0.0)
    again.end_task(1)
    again.row(1, [0.8, 0.6])
    result = read_result(tmp_path)
    assert result and [(point.iteration, point.scores) for point in result.window] == [(1, [0.25]), (2, [0.75])]
    assert result.metrics["min_acc"] == 0.25
    assert result.metrics["wc_acc"] == pytest.approx((0.6 + 0.25) / 2)

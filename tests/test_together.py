"""Whole runs that several processes make together: their files, their end and their way on."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import same_state
from processes import folder_of, in_process, losses_of, result_of
from ranks import fork, forked, waited

pytestmark = pytest.mark.slow

TOY = (
    *("benchmark=toy", "benchmark.num_tasks=2", "benchmark.spread=0.6", "device.threads=1", "logger=[]"),
    *("training.log_every=10", "training.iterations=50", "training.batch_size=13", "checkpoint_every=0.05"),
)


def work(*arguments: str) -> Any:
    """The command, as each of several processes types it."""

    def ran(_: int) -> list[Any]:
        done = in_process(*arguments)
        return [done.returncode, done.stdout, done.stderr]

    return ran


def numbers(folder: Path) -> list[float]:
    """All numbers of a run's log of losses."""
    with (folder / "metrics.csv").open() as file:
        return [float(number) for row in [*csv.reader(file)][1:] for number in row if number[:1].isdigit()]


def state(folder: Path) -> dict[str, Any]:
    """The learner in the last checkpoint of a run."""
    (file,) = (folder / "checkpoint").iterdir()
    found: dict[str, Any] = torch.load(file, weights_only=True)
    return found


def test_three_processes_make_the_run_of_one_and_only_the_first_writes(tmp_path: Path) -> None:
    """Task inference in CL3, whose tests are divided; the run that is finished is shown again."""
    arguments = (*TOY, "method=hnet_ent", "scenario=cl3")
    alone = folder_of(in_process(*arguments, f"output_dir={tmp_path / 'alone'}"))
    together = work(*arguments, f"output_dir={tmp_path / 'shared'}")
    first, *others = forked(3, together, tmp_path)
    assert others == [[0, "", ""]] * 2
    assert first[0] == 0, first[2]
    assert "3 processes share each batch of 13 examples, and all tests." in first[1]
    shared = Path(first[1].splitlines()[-1])
    assert len(numbers(alone)) > 40
    assert numbers(shared) == pytest.approx(numbers(alone), rel=1e-5, abs=1e-5)
    for key in ("accuracy_matrix", "inferred_tasks", "config_id", "iterations"):
        assert result_of(shared)[key] == result_of(alone)[key]
    assert result_of(shared)["device"] == "3 processes: cpu, 1 threads"
    assert result_of(shared)["command"].startswith("torchrun --nproc-per-node=3 -m hnet_cl benchmark=toy ")
    assert {path.name for path in shared.iterdir()} == {path.name for path in alone.iterdir()}
    assert state(shared)["processes"] == 3 and "processes" not in state(alone)
    again, *others = forked(3, together, tmp_path)
    assert (again[0], Path(again[1].splitlines()[-1])) == (0, shared)
    assert others == [[0, "", ""]] * 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    first, _ = forked(2, work(*TOY, f"output_dir={folder}"), folder)
    return Path(first[1].splitlines()[-1])


@pytest.mark.parametrize(
    ("rank", "signum", "status", "codes"),
    [
        (1, signal.SIGKILL, "failed", (2, None)),
        (1, signal.SIGINT, "interrupted", (143, 130)),  # the first process stops at the same step
    ],
)
def test_when_one_ends_all_do_and_the_run_goes_on(
    rank: int, signum: int, status: str, codes: tuple[Any, Any], whole: Path, tmp_path: Path
) -> None:
    ran = work(*TOY, f"output_dir={tmp_path}")
    children = fork(2, ran, tmp_path)
    until = time.monotonic() + 200
    while not (found := [*tmp_path.rglob("in-task-*-iteration-*.pt")]):
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(children[rank], signum)
    ended = waited(children, tmp_path, within_s=20)
    assert tuple(one and one[0] for one in ended) == codes
    folder = found[0].parents[1]
    assert result_of(folder)["status"] == status
    assert ended[1] is None or ended[1][1:] == ["", ""]
    in_one = in_process(*TOY, f"output_dir={tmp_path}")
    assert in_one.returncode == 2
    assert "was saved by a run of 2 processes, and this one is of one process" in in_one.stderr
    assert "continue it with torchrun --nproc-per-node=2 -m hnet_cl, or give fresh=true" in in_one.stderr
    assert result_of(folder)["status"] == status
    first, _ = forked(2, ran, tmp_path)
    assert first[0] == 0, first[2]
    assert losses_of(folder) == losses_of(whole)
    assert same_state(state(folder)["learner"], state(whole)["learner"])


def test_torchrun(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "hnet_cl"]
    done = subprocess.run([*command, *TOY, f"output_dir={tmp_path}"], capture_output=True, text=True, timeout=300)
    assert result_of(folder_of(done))["device"] == "2 processes: cpu, 1 threads"

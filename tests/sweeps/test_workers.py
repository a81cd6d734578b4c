"""Sweeps in several processes: they end with their head, and two sweeps do not get into each other's way."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from filelock import FileLock
from processes import hnet_cl, losses_of, result_of, start

pytestmark = pytest.mark.slow

ENDLESS = ("-m", "benchmark=toy", "method=finetune", "training.iterations=1000000", "seed=1,2")
LONG = ("-m", "benchmark=toy", "method=finetune", "training.iterations=1000", "training.log_every=50", "seed=1,2")
LAUNCHERS = {
    "local": ("hydra/launcher=local", "hydra.launcher.n_jobs=2"),
    "slurm_local": ("hydra/launcher=slurm_local",),
}


def runs(outputs: Path) -> list[Path]:
    return sorted(path.parent for path in outputs.rglob("result.json"))


def await_states(process: subprocess.Popen[str], outputs: Path, number: int) -> None:
    """Waits until so many runs are in the middle of a task."""
    until = time.monotonic() + 200
    while len({path.parent for path in outputs.rglob("checkpoint/in-task-*")}) < number:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("launcher", list(LAUNCHERS))
def test_workers_save_and_end_when_their_head_is_killed(launcher: str, tmp_path: Path) -> None:
    command = (*LONG, *LAUNCHERS[launcher], "device.threads=1", "checkpoint_every=0.1")
    head = start(*command, f"output_dir={tmp_path / 'cut'}")
    await_states(head, tmp_path / "cut", 2)
    os.kill(head.pid, signal.SIGKILL)
    again = hnet_cl(*command, f"output_dir={tmp_path / 'cut'}")
    head.communicate()
    assert again.returncode == 0, again.stderr
    assert "\n2 jobs: 2 finished\n" in again.stdout
    log = "".join(path.read_text() for path in (tmp_path / "cut").rglob("*.out")) + again.stdout
    assert len(re.findall(r"This run continues after .*iteration \d+ of 1000", log)) == 2
    straight = hnet_cl(*LONG, "device.threads=1", f"output_dir={tmp_path / 'straight'}")
    assert straight.returncode == 0
    for one, other in zip(runs(tmp_path / "cut"), runs(tmp_path / "straight"), strict=True):
        assert losses_of(one) == losses_of(other)


@pytest.mark.parametrize("launcher", list(LAUNCHERS))
def test_workers_save_and_end_when_their_head_is_interrupted(launcher: str, tmp_path: Path) -> None:
    head = start(*ENDLESS, *LAUNCHERS[launcher], f"output_dir={tmp_path}", "checkpoint_every=1")
    await_states(head, tmp_path, 2)
    head.send_signal(signal.SIGINT)
    _, err = head.communicate(timeout=60)
    assert (head.returncode, err) == (130, "hnet_cl: interrupted by SIGINT; the same command continues this run\n")
    for folder in runs(tmp_path):
        with FileLock(folder / ".lock", timeout=0.1):
            result = result_of(folder)
        assert (result["status"], result["error"]) == ("interrupted", "interrupted by SIGTERM")
        assert list(folder.glob(f"checkpoint/in-task-1-iteration-{result['iterations']}.*"))


def test_ctrl_c_while_workers_begin(tmp_path: Path) -> None:
    """On a terminal it reaches all processes of the sweep, here those that import what they need."""
    for wait in (0.0, 0.1, 0.5, 2.0):
        head = start(*ENDLESS, *LAUNCHERS["local"], f"output_dir={tmp_path}", process_group=0)
        assert head.stdout
        for line in iter(head.stdout.readline, ""):
            if line.startswith("What is finished"):  # the last that is said before they are started
                break
        time.sleep(wait)
        os.killpg(head.pid, signal.SIGINT)
        _, err = head.communicate(timeout=60)
        ways_on = (" before training began", "; the same command continues this run")
        assert head.returncode == 130 and err in [f"hnet_cl: interrupted by SIGINT{way_on}\n" for way_on in ways_on]


@pytest.mark.parametrize("launcher", [(), LAUNCHERS["local"]])
def test_two_sweeps_over_one_grid(launcher: tuple[str, ...], tmp_path: Path) -> None:
    small = ("-m", "benchmark=toy", "method=finetune", "training.iterations=300", "seed=1,2,3,4")
    sweeps = [start(*small, *launcher, f"output_dir={tmp_path}") for _ in range(2)]
    finished = 0
    for sweep in sweeps:
        out, err = sweep.communicate(timeout=300)
        assert (sweep.returncode, err) == (0, "")
        (counts,) = re.findall(r"^4 jobs: (\d.*)$", out, re.MULTILINE)
        ends = {what: int(number) for number, what in (count.split(" ", 1) for count in counts.split(", "))}
        assert ends.keys() <= {"finished", "finished earlier", "being worked on by another process"}
        assert sum(ends.values()) == 4
        finished += ends.get("finished", 0)
    assert finished >= 4  # or more: one may have been finished while the other sweep was about to begin it
    assert [result_of(folder)["status"] for folder in runs(tmp_path)] == 4 * ["finished"]

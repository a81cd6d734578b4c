"""Sweeps over many methods that are killed again and again end bit for bit as if they never had been."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from test_survive import assert_same_run

pytestmark = pytest.mark.slow

METHODS = ("hnet_ent", "hnet_tir", "hnet_r", "dgr", "ewc", "ewc_offline", "si", "finetune", "joint")
SWEEP = (
    *("-m", "benchmark=toy", "scenario=cl3", "benchmark.spread=0.6", "benchmark.num_tasks=2", "target=mlp_10"),
    *("training.iterations=150", "training.log_every=25", "device.threads=1", "checkpoint_every=0.1"),
    f"method={','.join(METHODS)}",
)
KILLS = 6  # of each launcher
LAUNCHERS = {
    "basic": (),
    "local": ("hydra/launcher=local", "hydra.launcher.n_jobs=2"),
    "one_process": ("hydra/launcher=one_process",),
}


def sweep(outputs: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hnet_cl", *SWEEP, *arguments, f"output_dir={outputs}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def ended(process: subprocess.Popen[bytes]) -> None:
    """Waits for a sweep to end well."""
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err.decode()


def folders(outputs: Path) -> dict[str, Path]:
    return {path.name.rpartition("-")[2]: next(path.rglob("result.json")).parent for path in outputs.glob("toy-*")}


class Straight(NamedTuple):
    """A sweep that nobody kills: its run folders by method, and how long it takes."""

    folders: dict[str, Path]
    seconds: float


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Straight:
    outputs, start = tmp_path_factory.mktemp("straight"), time.monotonic()
    ended(sweep(outputs))
    return Straight(folders(outputs), time.monotonic() - start)


def progress(outputs: Path) -> set[str]:
    """Names of all that a sweep writes as it goes on."""
    return {path.name for path in outputs.rglob("checkpoint/*")}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_sweep_of_nine_methods_survives_kills(launcher: str, straight: Straight, tmp_path: Path) -> None:
    moments, killed = random.Random(launcher), 0
    for kill in range(KILLS):
        before, process = progress(tmp_path), sweep(tmp_path, *LAUNCHERS[launcher])
        until = time.monotonic() + 60
        while kill % 4 and progress(tmp_path) <= before and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)  # each fourth one may come before anything is done
        time.sleep(moments.uniform(0, min(1, straight.seconds / KILLS)))
        if process.poll() is not None:  # a fast machine has come to the end between the kills
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killed += 1
        time.sleep(0.5)  # for the kernel to free the locks of all processes
    assert killed >= KILLS / 2
    ended(sweep(tmp_path, *LAUNCHERS[launcher]))
    assert folders(tmp_path).keys() == set(METHODS)
    for method, folder in folders(tmp_path).items():
        assert_same_run(folder, straight.folders[method])
    assert not [path for path in tmp_path.rglob("*") if ".part-" in path.name]

"""Real processes that are ended in every way there is, and go on as if nothing had happened."""

import contextlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import same_state
from processes import folder_of, hnet_cl, losses_of, mistake, result_of, start

pytestmark = pytest.mark.slow

RUN = ("benchmark=toy", "method=hnet", "benchmark.spread=0.6", "device.threads=1", "checkpoint_every=0.1")
ITERATIONS = 600
KILLS = 7
SHORT = (*RUN, f"training.iterations={ITERATIONS}")
TOO_SMALL = 6000  # bytes: more than result.json, less than a checkpoint


def checkpoints(outputs: Path) -> list[str]:
    """Names of the checkpoints of the only run in `outputs`, in the order in which they were made."""
    found: dict[str, int] = {}
    for path in outputs.rglob("checkpoint/[!.]*.pt"):
        with contextlib.suppress(FileNotFoundError):  # a newer one has just replaced it
            found[path.name] = path.stat().st_mtime_ns
    return sorted(found, key=lambda name: found[name])


def iterations_at(name: str) -> int:
    """Iterations of SHORT that were done when a checkpoint was made, from its name."""
    kind, _, number, *_ = name.replace(".", "-").split("-")
    tasks = int(name.split("-")[1]) if kind == "after" else int(number) - 1
    return ITERATIONS * tasks + (0 if kind == "after" else int(name.replace(".", "-").split("-")[4]))


def await_checkpoint(process: subprocess.Popen[str], outputs: Path, steps: int = 1) -> None:
    """Waits until a process has made `steps` new checkpoints."""
    seen, until = set(checkpoints(outputs)), time.monotonic() + 200
    new: set[str] = set()
    while len(new) < steps:
        assert process.poll() is None and time.monotonic() < until, process.stderr and process.stderr.read()
        time.sleep(0.005)
        new |= set(checkpoints(outputs)) - seen


def end(process: subprocess.Popen[str], signum: int) -> tuple[int, str]:
    """Sends a signal; returns exit code and standard error."""
    process.send_signal(signum)
    _, err = process.communicate(timeout=100)
    return process.returncode, err


def only_run(outputs: Path) -> Path:
    (path,) = outputs.rglob("result.json")
    return path.parent


def assert_same_run(folder: Path, expected: Path) -> None:
    """Accuracies, losses and final weights are equal bit for bit."""
    for name in ("accuracy_matrix.csv", "metrics.csv"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()
    result, other = result_of(folder), result_of(expected)
    assert (result["status"], result["error"]) == ("finished", None)
    for key in ("accuracy_matrix", "metrics", "iterations", "tasks_done", "config_id"):
        assert result[key] == other[key]
    states = [torch.load(next((run / "checkpoint").iterdir()), weights_only=True) for run in (folder, expected)]
    assert same_state(states[0]["learner"], states[1]["learner"])
    assert {path.name for path in folder.iterdir() if path.name.startswith(".")} <= {".hydra", ".lock"}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of an uninterrupted run."""
    return folder_of(hnet_cl(*SHORT, f"output_dir={tmp_path_factory.mktemp('straight')}"))


@pytest.fixture(scope="module")
def terminated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """The outputs of a run ended by SIGTERM in its second task; exit code, standard error, and a second process's."""
    outputs = tmp_path_factory.mktemp("terminated")
    process = start(*SHORT, f"output_dir={outputs}")
    while max(map(iterations_at, checkpoints(outputs)), default=0) <= ITERATIONS:
        await_checkpoint(process, outputs)
    process.send_signal(signal.SIGSTOP)  # else it could be finished before the second one begins
    try:
        refused = mistake(*SHORT, f"output_dir={outputs}")
    finally:
        process.send_signal(signal.SIGCONT)
    code, err = end(process, signal.SIGTERM)
    return outputs, code, err, refused


def test_sigterm_saves_and_ends_with_143(terminated: Any) -> None:
    outputs, code, err, _ = terminated
    assert code == 143
    assert err == "hnet_cl: interrupted by SIGTERM; the same command continues this run\n"
    result = result_of(only_run(outputs))
    assert (result["status"], result["error"]) == ("interrupted", "interrupted by SIGTERM")
    assert ITERATIONS < result["iterations"] == iterations_at(checkpoints(outputs)[-1]) < 3 * ITERATIONS


def test_a_second_process_on_the_same_run_refuses(terminated: Any) -> None:
    outputs, _, _, refused = terminated
    assert refused == f"{only_run(outputs)}: another process is working on this run; wait for it, or end it"


def test_ctrl_c_ends_with_130_and_what_was_interrupted_twice_ends_as_if_never(
    terminated: Any, straight: Path, tmp_path: Path
) -> None:
    outputs = shutil.copytree(terminated[0], tmp_path / "again")
    process = start(*SHORT, f"output_dir={outputs}")
    await_checkpoint(process, outputs)
    code, err = end(process, signal.SIGINT)
    assert (code, err) == (130, "hnet_cl: interrupted by SIGINT; the same command continues this run\n")
    done = hnet_cl(*SHORT, f"output_dir={outputs}")
    assert re.search(
        r"^This run continues after task \d, iteration \d+ of 600 of task \d\.$", done.stdout, re.MULTILINE
    )
    assert_same_run(folder_of(done), straight)


def test_a_full_disk_is_one_line_and_leaves_the_last_good_state(
    terminated: Any, straight: Path, tmp_path: Path
) -> None:
    outputs = shutil.copytree(terminated[0], tmp_path / "full")
    before = checkpoints(outputs)
    limited = subprocess.run(
        [sys.executable, "-m", "hnet_cl", *SHORT, f"output_dir={outputs}"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (TOO_SMALL, TOO_SMALL)),
    )
    assert limited.returncode == 2, limited.stderr
    assert limited.stderr.startswith("hnet_cl: ") and limited.stderr.count("\n") == 1
    assert "File too large" in limited.stderr
    assert result_of(only_run(outputs))["status"] == "failed"
    assert set(checkpoints(outputs)) == set(before)
    assert_same_run(folder_of(hnet_cl(*SHORT, f"output_dir={outputs}")), straight)


def test_damaged_checkpoints_are_passed_over_or_refused(terminated: Any, straight: Path, tmp_path: Path) -> None:
    outputs = shutil.copytree(terminated[0], tmp_path / "damaged")
    folder = only_run(outputs)
    *_, newest = checkpoints(outputs)
    (folder / "checkpoint" / newest).write_bytes((folder / "checkpoint" / newest).read_bytes()[:-100])
    done = hnet_cl(*SHORT, f"output_dir={outputs}")
    assert_same_run(folder_of(done), straight)
    assert f"{newest}: checkpoint cannot be used (its content does not match" in done.stdout
    assert "; going on from an older one" in done.stdout


def test_without_a_good_checkpoint_a_run_refuses_and_keeps_everything(terminated: Any, tmp_path: Path) -> None:
    outputs = shutil.copytree(terminated[0], tmp_path / "lost")
    folder = only_run(outputs)
    for path in (folder / "checkpoint").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    names = set(checkpoints(outputs))
    line = mistake(*SHORT, f"output_dir={outputs}")
    assert line.startswith(f"{folder / 'checkpoint'}") and line.endswith("; give fresh=true to start it from scratch")
    assert set(checkpoints(outputs)) == names
    assert losses_of(folder)


def test_a_run_killed_often_ends_as_if_never(tmp_path: Path) -> None:
    arguments = (*RUN, "method=hnet_ent", "scenario=cl3", "training.iterations=3000", "training.log_every=50")
    expected = folder_of(hnet_cl(*arguments, f"output_dir={tmp_path / 'straight'}"))
    outputs, moments = tmp_path / "killed", random.Random(1)
    kills = []
    while len(kills) < KILLS:
        process = start(*arguments, f"output_dir={outputs}")
        await_checkpoint(process, outputs, steps=1)
        time.sleep(moments.uniform(0, 0.1))
        end(process, signal.SIGKILL)
        kills.append(checkpoints(outputs)[-1])
    assert result_of(only_run(outputs))["status"] == "running"
    assert len(set(kills)) == KILLS, "each time it had come farther"
    assert_same_run(folder_of(hnet_cl(*arguments, f"output_dir={outputs}")), expected)

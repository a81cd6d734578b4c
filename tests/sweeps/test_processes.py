"""Sweeps as a user meets them: processes of their own, some of which die."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from filelock import FileLock
from processes import hnet_cl, result_of, start

pytestmark = pytest.mark.slow

SMALL = ("benchmark=toy", "benchmark.spread=0.6", "method=finetune", "training.iterations=20")
DEADLY = """
import os, signal
from hnet_cl.methods.finetune import Finetune

class Deadly(Finetune):
    class Settings(Finetune.Settings):
        dies: bool

    def begin_task(self, tasks):
        super().begin_task(tasks)
        if self.settings.dies:
            os.kill(os.getpid(), signal.SIGKILL)
"""
DEADLY_YAML = """\
# Kills its process
defaults: [finetune, _self_]
_target_: deadly.Deadly
name: deadly
dies: false
"""


@pytest.fixture
def deadly(tmp_path: Path) -> Path:
    """A folder with a method that can kill its process."""
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "conf" / "method" / "deadly.yaml").write_text(DEADLY_YAML)
    return tmp_path


def without_thread_settings() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}


@pytest.mark.parametrize(("launcher", "threads"), [("local", (os.cpu_count() or 1) // 2 or 1), ("slurm_local", None)])
def test_one_killed_process_costs_one_job(launcher: str, threads: int | None, deadly: Path) -> None:
    outputs = deadly / "outputs"
    command = [sys.executable, "-m", "hnet_cl", f"--config-dir={deadly / 'conf'}", "-m", *SMALL, "method=deadly"]
    sweep = ["method.dies=true,false", "training.validation=0.0,1e-9", "device.threads=null", f"output_dir={outputs}"]
    more = [f"hydra/launcher={launcher}", *(["hydra.launcher.n_jobs=2"] if threads else [])]
    paths = os.pathsep.join([str(deadly), os.environ.get("PYTHONPATH", "")])
    environment = without_thread_settings() | {"PYTHONPATH": paths}
    done = subprocess.run([*command, *sweep, *more], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "4 jobs: 1 finished, 3 failed\n" in done.stderr
    assert done.stderr.count("\n  its process died (") == 1
    assert done.stderr.count("\n  training.validation=1e-09: holds out 0 of ") == 2
    results = [result_of(path.parent) for path in outputs.rglob("result.json")]
    assert len(results) == 4
    finished = [result for result in results if result["status"] == "finished"]
    assert [result["seed"] for result in finished] == [1]
    if threads:
        assert {result["device"] for result in finished} == {f"cpu, {threads} threads"}


SEARCH = (
    *(*SMALL, "-m", "hydra/sweeper=optuna", "hydra.sweeper.heartbeat=1", "hydra.sweeper.pruning=null"),
    *("training.validation=0.25", "training.lr=tag(log,interval(0.0001,0.1))"),
)


def trials(outputs: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=None, storage=f"sqlite:///{outputs / 'search.db'}").trials


def launched(out: str) -> list[str]:
    return re.findall(r"#\d+ : .*(training\.lr=\S+)", out)


def values(outputs: Path) -> dict[int, tuple[Any, ...]]:
    """What the trial of each slot drew and reached."""
    kept = [trial for trial in trials(outputs) if trial.state.name == "COMPLETE"]
    return {one.user_attrs["slot"]: (one.params, one.value, one.user_attrs["metrics"]) for one in kept}


def test_a_killed_search_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    def command(outputs: Path) -> list[str]:
        counts = ("hydra.sweeper.n_trials=5", "hydra.sweeper.startup_trials=1")
        return [*SEARCH, *counts, f"output_dir={outputs}"]

    whole, outputs = tmp_path / "whole", tmp_path / "outputs"
    assert hnet_cl(*command(whole)).returncode == 0
    for folders, kept in ((2, 1), (4, 3)):  # in the second trial, and when it has gone on, in the fourth
        killed = start(*command(outputs))
        until = time.monotonic() + 200
        while len({path.parent for path in outputs.rglob("*.pt")}) < folders:
            assert killed.poll() is None and time.monotonic() < until
            time.sleep(0.005)
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        assert len(values(outputs)) == kept
    done = hnet_cl(*command(outputs))
    assert done.returncode == 0, done.stderr
    assert "1 trials have not ended; waiting for a sign of life of them\n" in done.stderr
    assert values(outputs) == values(whole) and len(values(whole)) == 5
    found = trials(outputs)
    assert [trial.state.name for trial in found].count("FAIL") == 2 and len(found) == 7
    assert len({trial.user_attrs["folder"] for trial in found}) == 5, "the dead trials' folders are found again"
    best = min(found, key=lambda trial: (-(trial.value or 0), trial.user_attrs["slot"]))
    assert f"best trial: {best.user_attrs['slot']} with acc {best.value:.4f}\n" in done.stdout
    again = next(line for line in done.stdout.splitlines() if line.startswith("  python -m hnet_cl"))
    assert (
        f"training.lr={best.params['training.lr']}" in again and "validation" not in again and "-m hydra" not in again
    )
    nothing_left = hnet_cl(*command(outputs))
    assert nothing_left.stdout.strip() in done.stdout and nothing_left.returncode == 0


def test_two_processes_share_a_search_and_its_failures(tmp_path: Path) -> None:
    choices = "training.validation=choice(0.1,0.2,1e-9)"
    command = (*SEARCH, choices, "hydra.sweeper.n_trials=6", f"output_dir={tmp_path}", "hydra.sweeper.batch=2")
    processes = [start(*command) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=300)
    found = [trial for trial in trials(tmp_path) if "surplus" not in trial.user_attrs]
    assert len(found) == 6
    failed = [trial for trial in found if trial.state.name == "FAIL"]
    assert 0 < len(failed) < 6 and {trial.params["training.validation"] for trial in failed} == {"1e-09"}
    assert 1 in {process.returncode for process in processes}
    assert all(trial.user_attrs["error"].startswith("training.validation=1e-09: holds out 0 of ") for trial in failed)
    assert all("metrics" in trial.user_attrs for trial in found)


def test_a_hopeless_trial_is_stopped_and_can_be_finished_alone(tmp_path: Path) -> None:
    pruning = ("hydra.sweeper.pruning={startup_trials:1,warmup_tasks:0}", "hydra.sweeper.n_trials=2")
    hopeless = ("training.lr=choice(0.05,1e-09)", "hydra.sweeper.seed=3")
    command = [override for override in SEARCH if not override.startswith(("training.lr", "hydra.sweeper.pruning"))]
    done = hnet_cl(*command, *pruning, *hopeless, f"output_dir={tmp_path}")
    found = trials(tmp_path)
    assert [trial.state.name for trial in found] == ["COMPLETE", "PRUNED"], done.stdout + done.stderr
    assert done.returncode == 0 and "2 jobs: 1 finished, 1 pruned" in done.stdout
    result = json.loads(Path(found[1].user_attrs["folder"], "result.json").read_text())
    assert (result["status"], result["tasks_done"]) == ("failed", 1)
    assert re.fullmatch(r"pruned by the search after task 1: acc 0\.\d{4} so far", result["error"])
    assert not [override for override in result["overrides"] if override.startswith(("hydra", "trial"))]
    alone = hnet_cl(*result["overrides"])
    assert alone.returncode == 0, alone.stderr
    after = result_of(Path(found[1].user_attrs["folder"]))
    assert (after["status"], after["error"], after["tasks_done"]) == ("finished", None, 3)


def test_sigterm_ends_the_sweep_and_the_processes_of_its_pool(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    long = ("benchmark=toy", "method=finetune", "training.iterations=1000000", "checkpoint_every=0.5")
    process = start("-m", *long, "seed=1,2", "hydra/launcher=local", "hydra.launcher.n_jobs=2", f"output_dir={outputs}")
    until = time.monotonic() + 120
    while len(list(outputs.rglob("checkpoint/[!.]*.pt"))) < 2:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err.endswith("hnet_cl: interrupted by SIGTERM; the same command continues this run\n")
    for result in outputs.rglob("result.json"):  # nobody holds the runs any more
        with FileLock(result.parent / ".lock", timeout=10):
            assert json.loads(result.read_text())["status"] == "interrupted"

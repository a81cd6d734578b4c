"""What becomes of a submitted job, whatever submitit hears of it."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from submitit import SlurmJob
from submitit.core.utils import FailedJobError, UncompletedJobError

from hnet_cl.sweeps import submitit
from hnet_cl.sweeps.errors import DeadError

PATHS = SimpleNamespace(stderr=Path("runs/.submitit/7/7_0_log.err"))


def submitted(result: Any, state: str = "FAILED") -> Any:
    """A job that has ended, with a result or an exception."""

    def results() -> list[JobReturn]:
        if isinstance(result, Exception):
            raise result
        return [result]

    return SimpleNamespace(done=lambda: True, results=results, state=state, paths=PATHS)


@pytest.mark.parametrize(
    ("error", "state", "why"),
    [
        (
            "Job 7 (task: 0) with path x\nhas not produced any output (state: TIMEOUT)\nError stream produced:\n"
            "----------------------------------------\nsrun: killed\n",
            "OUT_OF_MEMORY",
            "state OUT_OF_MEMORY",
        ),
        (
            "Job (task=0) failed during processing with trace:\n----------------------\nTraceback\n  File x\n"
            "ValueError: no such thing\n----------------------\nYou can check full logs",
            "FAILED",
            "ValueError: no such thing",
        ),
    ],
)
def test_a_dead_job_is_a_failure_that_says_why(error: str, state: str, why: str) -> None:
    kind = UncompletedJobError if "Error stream" in error else FailedJobError
    done = submitit.wait_for(submitted(kind(error), state))
    assert done.status == JobStatus.FAILED and isinstance(done._return_value, DeadError)
    assert str(done._return_value) == f"its process died ({why}); see runs/.submitit/7/7_0_log.err"


def test_a_job_that_has_ended_well_is_given_on() -> None:
    done = JobReturn()
    assert submitit.wait_for(submitted(done)) is done


@pytest.mark.parametrize("kind", [submitit.SlurmLauncher, submitit.LocalLauncher])
def test_a_job_that_is_put_back_into_the_queue_goes_on_even_if_it_was_to_start_anew(kind: Any) -> None:
    launcher = kind.__new__(kind)
    again = launcher.checkpoint(["seed=1", "fresh=true"], "hydra.sweep.dir", 3, "id", {})
    assert again.function is launcher
    assert again.args == (["seed=1", "fresh=true", "fresh=false"], "hydra.sweep.dir", 3, "id", {})


def test_a_job_that_silently_leaves_the_queue_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds: list[int] = []
    monkeypatch.setattr(submitit.time, "sleep", seconds.append)
    queue = iter([True, False, True, True, True])  # once it was only not to be seen
    monkeypatch.setattr(submitit, "left_queue", lambda job: next(queue))
    done = submitit.wait_for(SimpleNamespace(done=lambda: False, paths=PATHS))
    assert str(done._return_value).startswith("its process died (it has left the queue without a result); see ")
    assert sum(seconds) == 5 * 20


@pytest.mark.parametrize(
    ("returncode", "out", "err", "left"),
    [
        (0, "7_0 main R\n", "", False),
        (0, "\n", "", True),
        (1, "", "slurm_load_jobs error: Invalid job id specified\n", True),
        (1, "", "slurm_load_jobs error: Unable to contact slurm controller\n", False),
    ],
)
def test_what_the_queue_says(returncode: int, out: str, err: str, left: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess("squeue", returncode, out, err)
    monkeypatch.setattr(submitit.subprocess, "run", lambda *_, **__: answer)
    job = SlurmJob.__new__(SlurmJob)
    job._job_id, job._cancel_at_deletion = "7_0", False
    assert submitit.left_queue(job) is left
    assert not submitit.left_queue(submitted(None))

"""Launchers that submit jobs to SLURM, or to processes on this machine, by submitit."""

import itertools
import logging
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import fields
from itertools import repeat
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra_plugins.hydra_submitit_launcher import submitit_launcher
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from submitit import AutoExecutor, SlurmJob

from hnet_cl.core.signals import entered
from hnet_cl.sweeps.errors import DeadError
from hnet_cl.sweeps.workers import Lifeline, Worker

log = logging.getLogger(__name__)

LOOK_EVERY_S, LOOKS = 20, 3  # a result may appear on a network drive only after its job has left the queue


class PatientLauncher(submitit_launcher.BaseSubmititLauncher):
    """The plugin's launcher, except that a dead job does not end the wait for the others."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Submits the jobs as one array and waits until all have ended.

        Raises:
            Interrupted: a signal came.
        """
        general = {field.name for field in fields(BaseQueueConf)}
        named = {key if key in general else f"{self._EXECUTOR}_{key}": value for key, value in self.params.items()}
        first = {key: named.pop(key) for key in (f"{self._EXECUTOR}_max_num_timeout",) if key in named}
        executor = AutoExecutor(folder=named.pop("submitit_folder"), cluster=self._EXECUTOR, **first)
        executor.update_parameters(**named)
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        jobs = executor.map_array(
            self,
            [list(overrides) for overrides in job_overrides],
            repeat("hydra.sweep.dir"),
            numbers,
            [f"job_id_for_{number}" for number in numbers],
            repeat(Singleton.get_state()),
        )
        for number, job, overrides in zip(numbers, jobs, job_overrides, strict=True):
            log.info("\t#%d, %s job %s: %s", number, self._EXECUTOR, job.job_id, " ".join(filter_overrides(overrides)))
        return [wait_for(job) for job in jobs]

    def checkpoint(self, overrides: Sequence[str], *rest: Any) -> Any:
        """Resubmits a job that is preempted or out of time; it then continues, even if it began with fresh=true."""
        return super().checkpoint([*overrides, "fresh=false"], *rest)


class SlurmLauncher(PatientLauncher, submitit_launcher.SlurmLauncher):
    """The launcher of conf/hydra/launcher/slurm.yaml."""


class LocalLauncher(PatientLauncher, submitit_launcher.LocalLauncher):
    """The launcher of conf/hydra/launcher/slurm_local.yaml; its processes, unlike SLURM's jobs, end with the sweep."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._lifeline = Lifeline()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Starts a process for each job and waits until all have ended.

        Raises:
            Interrupted: a signal came.
        """
        with self._lifeline.held():
            return super().launch(job_overrides, initial_job_idx)

    def __call__(self, *job: Any) -> JobReturn:
        """Runs one job in its process."""
        return Worker(self._lifeline.path).do(lambda: super(LocalLauncher, self).__call__(*job))


def wait_for(job: Any) -> JobReturn:
    """Waits for a submitit job and returns its outcome, a failure if its process died.

    Raises:
        Interrupted: a signal came; SLURM's jobs continue.
    """
    try:
        if lost(job):
            raise DeadError("it has left the queue without a result")
        done: JobReturn = job.results()[0]
    except Exception as error:
        trace = re.search(r"\n-+\n(.+?)\n-+\n", str(error), re.DOTALL)
        ended = f"state {job.state}" if "Error stream" in str(error) else str(error)
        why = trace[1].splitlines()[-1] if trace and ended == str(error) else ended.splitlines()[0]
        done = JobReturn()
        done.status = JobStatus.FAILED
        done.return_value = DeadError(f"its process died ({why}); see {job.paths.stderr}")
    return done


def lost(job: Any) -> bool:
    """Waits for the end of a job and tells whether it left the queue unnoticed by submitit.

    That happens to dead jobs where SLURM does no accounting.

    Raises:
        Interrupted: a signal came; SLURM's jobs continue.
    """
    missed = 0
    for second in itertools.count(1):
        if job.done() or missed == LOOKS:
            break
        if isinstance(job, SlurmJob) and (own := entered()):
            own.begun = True
            own.answer()
        time.sleep(1)
        if second % LOOK_EVERY_S == 0:
            missed = missed + 1 if left_queue(job) else 0
    return missed == LOOKS


def left_queue(job: Any) -> bool:
    """Tells whether a job has left SLURM's queue; False for jobs that are not SLURM's."""
    if not isinstance(job, SlurmJob):
        return False
    seen = subprocess.run(["squeue", "--noheader", "--jobs", job.job_id], capture_output=True, text=True)
    return "Invalid job id" in seen.stderr if seen.returncode else not seen.stdout.strip()

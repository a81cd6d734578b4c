"""A launcher that runs several jobs in one process, in turns of a few training steps.

On a GPU, a turn only enqueues steps, which the GPU executes asynchronously, so the jobs' steps run concurrently.
"""

import logging
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hnet_cl.core.errors import Interrupted, UserError
from hnet_cl.core.signals import Interruption, interruption

log = logging.getLogger(__name__)


class TurnTaker:
    """A job that runs in turns: the generator `turns` yields every few steps and finally returns the job's value."""

    turns: Generator[None, None, Any] | None = None
    status = JobStatus.UNKNOWN
    value: Any = None

    def turn(self) -> None:
        """Runs the job until its next yield; notes its end or failure."""
        assert self.turns is not None
        try:
            next(self.turns)
        except StopIteration as end:
            self.end(JobStatus.COMPLETED, end.value)
        except Exception as error:
            error.__context__ = None  # its frames would keep the job's memory alive
            self.end(JobStatus.FAILED, error.with_traceback(None))

    def end(self, status: JobStatus, value: Any) -> None:
        """Notes that the job has ended, and its return value or exception."""
        self.status, self.value, self.turns = status, value, None

    @property
    def over(self) -> bool:
        """Tells whether the job has ended."""
        return self.status != JobStatus.UNKNOWN

    def done(self) -> JobReturn:
        """Returns the job's status and value as Hydra's JobReturn."""
        done = JobReturn()
        done.status, done.return_value = self.status, self.value
        return done


class OneProcessLauncher(Launcher):
    """A launcher that runs jobs in turns, at most `n_jobs` at a time.

    The task function is called with a second argument, the `Interruption` that all jobs share, and must return a
    generator.
    """

    def __init__(self, n_jobs: int) -> None:
        self._n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Checks `n_jobs` and stores Hydra's arguments; Hydra calls it before `launch`.

        Raises:
            UserError: `n_jobs` is not a positive integer.
        """
        if not isinstance(self._n_jobs, int) or self._n_jobs < 1:
            raise UserError(f"hydra.launcher.n_jobs={self._n_jobs}: give how many jobs run at a time, as 10")
        self._context, self._task_function, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Runs all jobs to their end.

        Raises:
            Interrupted: a signal came; all jobs that had begun are saved.
        """
        setup_globals()
        self._log_as_sweep()
        waiting = deque(enumerate(job_overrides, initial_job_idx))
        jobs: list[TurnTaker] = []
        running: deque[TurnTaker] = deque()
        interrupted: Interrupted | None = None
        with interruption() as shared:
            while running or (waiting and not interrupted):
                shared.hold()  # the last turn may have released signals
                try:
                    if waiting and not interrupted and len(running) < self._n_jobs:
                        job = self._begin(*waiting.popleft(), shared)
                        jobs.append(job)
                    else:
                        job = running.popleft()
                        job.turn()
                except Interrupted as reason:  # the others notice the pending signal in their next turns
                    interrupted = reason
                else:
                    if not job.over:
                        running.append(job)
            if interrupted:
                raise interrupted
        return [job.done() for job in jobs]

    def _begin(self, number: int, overrides: Sequence[str], shared: Interruption) -> TurnTaker:
        """Starts a job and takes its first turn, which builds everything; its log messages go to the job's own log."""
        log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        task_function: Any = self._task_function
        job = TurnTaker()

        def first_turn(task_config: DictConfig) -> None:
            job.turns = task_function(task_config, shared)
            job.turn()

        try:
            run_job(first_turn, config, "hydra.sweep.dir", "hydra.sweep.subdir", self._context)
        except OSError as error:  # its folder cannot be made
            job.end(JobStatus.FAILED, error)
        finally:
            self._log_as_sweep()
        return job

    def _log_as_sweep(self) -> None:
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)

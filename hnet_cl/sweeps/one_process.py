"""A launcher that runs several jobs in one process, in turns of a few training steps.

On a GPU, a turn only hands over steps that the GPU makes by itself, so the steps of all jobs run at the same time.
"""

import logging
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from hnet_cl.errors import Interrupted
from hnet_cl.training.interruption import Interruption

log = logging.getLogger(__name__)


@dataclass
class TurnTaker:
    """A job: `turns` yields every few steps and returns what goes into `done`."""

    turns: Generator[None, None, Any]
    done: JobReturn

    def turn(self) -> bool:
        """Takes a turn; says whether there are more."""
        try:
            next(self.turns)
        except StopIteration as end:
            self.done.status, self.done.return_value = JobStatus.COMPLETED, end.value
        except Exception as error:
            self.done.status, self.done.return_value = JobStatus.FAILED, error
        else:
            return True
        return False


class OneProcessLauncher(Launcher):
    """Jobs in turns, at most `n_jobs` at a time.

    The task function takes a second argument, the `Interruption` that all jobs share, and then returns a generator.
    """

    def __init__(self, n_jobs: int) -> None:
        self._n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        self._context, self._task_function, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Runs all jobs to their ends.

        Raises:
            Interrupted: a signal came, and all jobs that had begun are saved.
        """
        setup_globals()
        self._log_as_sweep()
        waiting = deque(enumerate(job_overrides, initial_job_idx))
        begun: list[TurnTaker] = []
        running: deque[TurnTaker] = deque()
        interrupted: Interrupted | None = None
        with Interruption() as interruption:
            while running or (waiting and not interrupted):
                try:
                    if waiting and not interrupted and len(running) < self._n_jobs:
                        begun.append(self._begin(*waiting.popleft(), interruption))
                        running.append(begun[-1])
                    job = running.popleft()
                    if job.turn():
                        running.append(job)
                except Interrupted as reason:  # the others hear of it in their next turns
                    interrupted = reason
        if interrupted:
            raise interrupted
        return [job.done for job in begun]

    def _begin(self, number: int, overrides: Sequence[str], interruption: Interruption) -> TurnTaker:
        """The job after its first turn, in which all is built; warnings of that go into the job's own log."""
        log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
        config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        task_function: Any = self._task_function
        job = TurnTaker(iter(()), JobReturn())  # type: ignore[arg-type]

        def first_turn(task_config: DictConfig) -> None:
            job.turns = task_function(task_config, interruption)
            job.turn()

        first = job.done
        job.done = run_job(first_turn, config, "hydra.sweep.dir", "hydra.sweep.subdir", self._context)
        if first.status != JobStatus.UNKNOWN:  # there was but one turn
            job.done.status, job.done.return_value = first.status, first._return_value
        self._log_as_sweep()
        return job

    def _log_as_sweep(self) -> None:
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)

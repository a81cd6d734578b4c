"""A launcher that runs jobs in parallel processes on this machine, by joblib."""

import os
from collections.abc import Sequence
from functools import cache
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra_plugins.hydra_joblib_launcher import joblib_launcher
from hydra_plugins.hydra_joblib_launcher._core import execute_job, process_joblib_cfg
from joblib import Parallel, delayed

from hnet_cl.sweeps.workers import Lifeline, Worker


class JoblibLauncher(joblib_launcher.JoblibLauncher):
    """The plugin's launcher, except that its worker processes end when the sweep's process does."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._lifeline = Lifeline()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Runs all jobs and waits until all have ended."""
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        settings = {**self.joblib, "backend": "loky"}
        process_joblib_cfg(settings)
        resource_tracker.ensure_running()  # its start unblocks signals, which workers must inherit blocked
        shared = (self.hydra_context, self.config, self.task_function, Singleton.get_state())
        with self._lifeline.held() as lifeline:
            returns: list[JobReturn] = Parallel(**settings)(
                delayed(work)(lifeline, os.getpid(), number, overrides, *shared)
                for number, overrides in enumerate(job_overrides, initial_job_idx)
            )
        return returns


def work(lifeline: Path, head: int, *job: Any) -> JobReturn:
    """Runs one job in a process of the pool, or in the sweep's process itself if joblib runs one job at a time.

    Args:
        lifeline: path of the sweep's `Lifeline`.
        head: process id of the sweep's process.
        job: arguments of the plugin's `execute_job`.
    """
    return execute_job(*job) if os.getpid() == head else worker(lifeline).do(lambda: execute_job(*job))


@cache
def worker(lifeline: Path) -> Worker:
    """Returns the `Worker` of this process, which is created once, for all of its jobs."""
    return Worker(lifeline)

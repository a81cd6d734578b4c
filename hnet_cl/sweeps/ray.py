"""A launcher that submits jobs to Ray."""

import logging
from collections.abc import Sequence
from typing import Any

import ray
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, setup_globals
from hydra_plugins.hydra_ray_launcher import ray_launcher
from hydra_plugins.hydra_ray_launcher._launcher_util import launch_job_on_ray, start_ray
from omegaconf import open_dict

from hnet_cl.core.signals import answer
from hnet_cl.sweeps.errors import DeadError

log = logging.getLogger(__name__)


class RayLauncher(ray_launcher.RayLauncher):
    """The plugin's launcher, except that a dead job does not end the wait for the others and clusters can be joined."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Submits all jobs to Ray and waits until all have ended.

        Raises:
            Interrupted: a signal came.
        """
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        start_ray(self.ray_cfg.init)
        runs = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            log.info("\t#%d : %s", number, " ".join(filter_overrides(overrides)))
            job_config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(job_config):
                job_config.hydra.job.num = job_config.hydra.job.id = number
            remote, state = self.ray_cfg.remote, Singleton.get_state()
            runs.append(launch_job_on_ray(self.hydra_context, remote, job_config, self.task_function, state))
        return [wait_for(run) for run in runs]


def wait_for(run: Any) -> JobReturn:
    """Waits for a job and returns its outcome, a failure if its process died.

    Raises:
        Interrupted: a signal came.
    """
    while not ray.wait([run], timeout=1)[0]:
        answer()
    try:
        done: JobReturn = ray.get(run)
    except ray.exceptions.RayError as error:
        done = JobReturn()
        done.status = JobStatus.FAILED
        done.return_value = DeadError(f"its process died ({str(error).splitlines()[0]})")
    return done

"""Makes the launcher that the configuration names, or says which package is missing."""

import importlib.util

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hnet_cl.core.errors import UserError
from hnet_cl.sweeps.one_process import OneProcessLauncher
from hnet_cl.sweeps.plugin import PREFIX, register

# Per `_target_` of conf/hydra/launcher: the module it needs, and the extra of pyproject.toml that installs it.
NEEDED = {
    f"{PREFIX}JoblibLauncher": ("hydra_joblib_launcher", "joblib"),
    f"{PREFIX}SlurmLauncher": ("hydra_submitit_launcher", "slurm"),
    f"{PREFIX}LocalLauncher": ("hydra_submitit_launcher", "slurm"),
    f"{PREFIX}RayLauncher": ("hydra_ray_launcher", "ray"),
}


def make_launcher(hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> Launcher:
    """Makes the launcher that the configuration names.

    Raises:
        UserError: the launcher's package is not installed.
    """
    target = config.hydra.launcher._target_
    module, extra = NEEDED.get(target, ("", ""))
    if module and not _installed(module):
        choice = config.hydra.runtime.choices["hydra/launcher"]
        raise UserError(f"hydra/launcher={choice}: is not installed; pip install 'hnet-cl[{extra}]'")
    register(OneProcessLauncher)
    if extra == "joblib":
        from hnet_cl.sweeps.joblib import JoblibLauncher

        register(JoblibLauncher)
    if extra == "slurm":
        from hnet_cl.sweeps.submitit import LocalLauncher, SlurmLauncher

        register(LocalLauncher, SlurmLauncher)
    if extra == "ray":
        from hnet_cl.sweeps.ray import RayLauncher

        register(RayLauncher)
    return Plugins.instance().instantiate_launcher(
        hydra_context=hydra_context, task_function=task_function, config=config
    )


def _installed(plugin: str) -> bool:
    try:
        return importlib.util.find_spec(f"hydra_plugins.{plugin}") is not None
    except ModuleNotFoundError:  # no Hydra plugin is installed
        return False

"""The command line: help, composition by Hydra, and errors as one line each. Imports nothing heavy."""

import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hnet_cl.complaints import explain
from hnet_cl.conf_files import conf_dir
from hnet_cl.errors import UserError
from hnet_cl.help import help_text
from hnet_cl.identity import config_id

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def main() -> None:
    """Runs what the command line says. Mistakes of the user end in one line each and exit code 2."""
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(help_text(arguments))
        return
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises its errors instead of printing them
    try:
        _run()
    except KeyboardInterrupt:
        _stop("interrupted; the same command continues after the last finished task", EXIT_INTERRUPTED)
    except (UserError, OSError, HydraException, OmegaConfBaseException) as error:
        if "debug=true" in arguments:
            raise
        _stop(explain(error, arguments), EXIT_USER_ERROR)


def _stop(message: str, code: int) -> None:
    print(f"hnet_cl: {message}", file=sys.stderr)
    raise SystemExit(code)


def _plain(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration without Hydra's own part."""
    own = OmegaConf.create({key: config._get_node(key) for key in config if key != "hydra"})
    resolved: Any = OmegaConf.to_container(own, resolve=True, throw_on_missing=False)
    return resolved


OmegaConf.register_new_resolver("config_id", lambda *, _root_: config_id(_plain(_root_)), replace=True)


class CheckFirst(Callback):
    """Checks a single run's configuration before Hydra makes its folder, so that mistakes leave nothing behind."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Hydra turns an Exception of a callback into a warning, so a mistake leaves through SystemExit."""
        from hnet_cl.config import check

        try:
            check(_plain(config))
        except UserError as error:
            if config.debug is True:
                raise SystemExit(EXIT_USER_ERROR) from error
            _stop(str(error), EXIT_USER_ERROR)


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
def _run(config: DictConfig) -> None:
    from hnet_cl.run import run

    job = HydraConfig.get()
    try:
        run(_plain(config), Path(job.runtime.output_dir), list(job.overrides.task))
    except (UserError, OSError) as error:
        if job.mode == RunMode.MULTIRUN or config.debug:
            raise  # a sweep goes on with its other jobs
        _stop(explain(error, []), EXIT_USER_ERROR)

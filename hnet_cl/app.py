"""The command line: help, composition by Hydra, and errors as one line each. Imports nothing heavy."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hnet_cl.arguments import flags_last, is_set, refuse_long_numbers, spread_seeds
from hnet_cl.complaints import explain
from hnet_cl.conf_files import conf_dir
from hnet_cl.errors import BusyError, Interrupted, UserError
from hnet_cl.help import help_text
from hnet_cl.resolvers import plain, write_config
from hnet_cl.sweeps.errors import JobError, PrunedError, SweepError

EXIT_FAILED_JOBS = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

log = logging.getLogger("hnet_cl")


def main() -> None:
    """Runs what the command line says. Mistakes of the user end in one line each and exit code 2."""
    arguments = sys.argv[1:] = flags_last(sys.argv[1:])
    if "--help" in arguments or "-h" in arguments:
        print(help_text(arguments))
        return
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises its errors instead of printing them
    try:
        refuse_long_numbers(arguments)
        arguments = sys.argv[1:] = spread_seeds(arguments)
    except UserError as error:
        _stop(error)
    if any(argument == "-m" or "multirun" in argument.lower() for argument in arguments):
        _register_sweepers()
        signal.signal(signal.SIGTERM, _interrupt)  # else the jobs of a pool of processes would go on without a head
    try:
        _run()
    except SweepError:
        raise SystemExit(EXIT_FAILED_JOBS) from None
    except KeyboardInterrupt:
        _continues("interrupted", EXIT_INTERRUPTED)
    except Interrupted as error:
        _continues(str(error), error.exit_code)
    except (UserError, OSError, HydraException, OmegaConfBaseException, YAMLError) as error:
        _stop(error)
    except ValueError as error:  # what Hydra raises for a few mistyped choices
        if "hydra" not in traceback.extract_tb(error.__traceback__)[-1].filename:
            raise
        _stop(error)


def _interrupt(signum: int, _: object) -> NoReturn:
    raise Interrupted(signum)


def _register_sweepers() -> None:
    from hnet_cl.sweeps.grid import GridSweeper
    from hnet_cl.sweeps.plugin import register
    from hnet_cl.sweeps.search import OptunaSweeper

    register(GridSweeper, OptunaSweeper)


def _continues(reason: str, exit_code: int) -> NoReturn:
    without = " without fresh=true" if is_set("fresh", sys.argv[1:]) else ""
    print(f"hnet_cl: {reason}; the same command{without} continues this run", file=sys.stderr)
    raise SystemExit(exit_code) from None


def _stop(error: Exception) -> NoReturn:
    """Prints the error as one line, with debug=true below its traceback, and ends with exit code 2."""
    if is_set("debug", sys.argv[1:]):
        traceback.print_exception(error)
    print(f"hnet_cl: {explain(error, sys.argv[1:])}", file=sys.stderr)
    raise SystemExit(EXIT_USER_ERROR) from None


class CheckFirst(Callback):
    """Checks a single run's configuration before Hydra makes its folder, so that mistakes leave nothing behind."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Hydra turns an Exception of a callback into a warning, so a mistake leaves through SystemExit."""
        from hnet_cl.config import check

        try:
            check(plain(config))
        except (UserError, OmegaConfBaseException) as error:
            _stop(error)


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
def _run(config: DictConfig, shared: Any = None) -> Any:
    """One job; what it returns, the metrics of result.json, is there for Hydra's sweepers.

    With an `Interruption` that it has to share with other jobs it returns a generator, which yields every few steps
    and returns the metrics.
    """
    from rich.console import Console

    from hnet_cl.run import Surroundings, exhaust
    from hnet_cl.training.interruption import Interruption

    job = HydraConfig.get()
    if shared is not None:
        return _turns(config, job, Surroundings(Console(force_interactive=False), shared, label=job.sweep.subdir))
    with Interruption() as own:
        return exhaust(_turns(config, job, Surroundings(Console(), own)))


def _turns(config: DictConfig, job: Any, surroundings: Any) -> Generator[None, None, dict[str, float | None]]:
    from hnet_cl.results.failure import record_failure
    from hnet_cl.run import run_in_turns
    from hnet_cl.sweeps.pruning import listeners

    folder, overrides, settings = Path(job.runtime.output_dir), list(job.overrides.task), plain(config)
    try:
        if job.output_subdir is not None:
            write_config(folder / job.output_subdir / "config.yaml", settings)
        own = replace(surroundings, listeners=listeners(job.sweeper, folder))
        result = yield from run_in_turns(settings, folder, overrides, own)
        return dict(result["metrics"])
    except PrunedError:
        raise
    except Exception as error:
        mendable = isinstance(error, UserError | OSError)
        line = explain(error, []) if mendable else f"{type(error).__name__}: {error}"
        if not isinstance(error, BusyError):
            record_failure(folder, settings, overrides, line)
        if job.mode == RunMode.MULTIRUN:
            log.error("failed: %s (%s)", line, folder, exc_info=not mendable or settings["debug"])
            raise JobError(line) from None  # the other jobs of a sweep go on
        if mendable:
            _stop(error)
        raise

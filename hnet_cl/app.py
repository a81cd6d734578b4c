"""The command line: help, composition by Hydra, and errors as one line each. Imports nothing heavy."""

import logging
import os
import sys
import traceback
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from hnet_cl.config.arguments import (
    flags_last,
    is_set,
    refuse_long_numbers,
    refuse_names,
    refuse_subdir,
    run_folder,
    spread_seeds,
)
from hnet_cl.config.composed_once import composed_once
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.config.help_text import help_text
from hnet_cl.config.messages import explain, is_mistake
from hnet_cl.config.overrides import prepared
from hnet_cl.config.presets import preset_of, target_of
from hnet_cl.config.resolvers import named, setup_files
from hnet_cl.core.atomic_files import at_home, require_writable
from hnet_cl.core.errors import BusyError, Interrupted, OccupiedError, UserError, described
from hnet_cl.core.processes import NO_SWEEP, place
from hnet_cl.core.signals import answer, interruption
from hnet_cl.sweeps.errors import BusyJobError, JobError, PrunedError, SweepError

EXIT_FAILED_JOBS = 1
EXIT_USER_ERROR = 2
ONE_AFTER_ANOTHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # other jobs share the screen

log = logging.getLogger("hnet_cl")


def main() -> None:
    """Runs the command line.

    Raises:
        SystemExit: 2 after a user error, printed as one line; 1 if jobs of a sweep failed; the signal's exit code if a
            signal interrupted the run.
        Interrupted: a signal came before there was anything to continue.
    """
    if "--help" in sys.argv or "-h" in sys.argv:
        try:
            print(help_text(sys.argv[1:]))
        except UserError as error:
            _stop(error)
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
    if data_dir := os.environ.get("HNET_CL_DATA"):
        os.environ["HNET_CL_DATA"] = at_home(data_dir)
    try:
        if place().rank:
            _silence()
        refuse_long_numbers(sys.argv[1:])
        arguments = sys.argv[1:] = prepared(spread_seeds(flags_last(sys.argv[1:])))
    except (UserError, OSError) as error:  # a folder of yaml files may not be readable
        _stop(error)
    if any("multirun" in argument.lower() for argument in arguments):  # also hydra.mode=MULTIRUN
        if place().size > 1:
            _stop(UserError(NO_SWEEP))
        _register_sweepers()
    try:
        with composed_once():
            _run()
    except SweepError:
        raise SystemExit(EXIT_FAILED_JOBS) from None
    except Interrupted as reason:
        _continues(reason)
    except Exception as error:
        if not is_mistake(error):
            raise
        _stop(error)


def _silence() -> None:
    """Lets this process say nothing, as that of rank 0 speaks for all; with debug=true it shows its own tracebacks."""
    logging.disable()
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    if not is_set("debug", sys.argv[1:]):
        sys.stderr = sys.stdout


def _register_sweepers() -> None:
    from hnet_cl.sweeps.compare_sweep import ComparisonSweeper
    from hnet_cl.sweeps.grid import GridSweeper
    from hnet_cl.sweeps.plugin import register
    from hnet_cl.sweeps.search import OptunaSweeper

    register(GridSweeper, ComparisonSweeper, OptunaSweeper)


def _continues(reason: Interrupted) -> NoReturn:
    """Prints how to continue the run and exits; raises the signal again if there is nothing to continue yet."""
    if not reason.begun:
        raise reason
    without = " without fresh=true" if is_set("fresh", sys.argv[1:]) else ""
    print(f"hnet_cl: {reason}; the same command{without} continues this run", file=sys.stderr)
    raise SystemExit(reason.exit_code) from None


def _stop(error: Exception) -> NoReturn:
    """Prints the error as one line, with debug=true below its traceback, and exits with code 2."""
    if is_set("debug", sys.argv[1:]):
        traceback.print_exception(error)
    print(f"hnet_cl: {explain(error, sys.argv[1:])}", file=sys.stderr)
    raise SystemExit(EXIT_USER_ERROR) from None


class CheckFirst(Callback):
    """Checks a single run's configuration before Hydra makes its folder, so that mistakes leave nothing behind."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Checks the configuration and the run folder.

        Raises:
            SystemExit: something is wrong. Hydra would turn an Exception from a callback into a warning.
        """
        if "torch" not in sys.modules:
            print("Loading PyTorch.", flush=True)
        from hnet_cl.config.check import check
        from hnet_cl.config.check_processes import check_processes
        from hnet_cl.extending import require_former
        from hnet_cl.records.run_folder import earlier_result

        try:
            refuse_names(_typed(config.hydra))
            refuse_subdir(config.hydra.output_subdir)
            settings = named(config, config.hydra.runtime.choices)
            check_processes(check(settings), place())
            folder = run_folder(config.hydra.run.dir, "hydra.run.dir")
            require_writable(folder)  # before Hydra writes there, whose errors take several lines
            if earlier_result(folder, settings) is None:
                require_former(settings)
            answer()
        except Exception as error:
            if not is_mistake(error):
                raise SystemExit(traceback.format_exc()) from None
            _stop(error)


def _typed(hydra_config: DictConfig) -> list[str]:
    """Returns the overrides of a job as typed, with `${...}` unresolved."""
    typed: Any = OmegaConf.to_container(hydra_config.overrides.task, resolve=False)
    return list(typed)


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
def _run(config: DictConfig, shared: Any = None) -> Any:
    """Runs one job and returns the metrics of result.json, for Hydra's sweepers.

    With `shared`, an `Interruption` that it shares with other jobs, it returns a generator instead, which yields every
    few training steps and returns the metrics.
    """
    from rich.console import Console

    from hnet_cl.recording import RunContext
    from hnet_cl.single_run import exhaust

    job = HydraConfig.get()
    label = "" if job.mode == RunMode.RUN else job.sweeper.get("label") or job.sweep.subdir
    if shared is not None:
        return _turns(config, job, RunContext(Console(force_interactive=False), shared, label=label))
    alone = not label or job.launcher._target_ == ONE_AFTER_ANOTHER
    console = Console() if alone else Console(force_interactive=False)
    with interruption() as own:
        own.answer()
        return exhaust(_turns(config, job, RunContext(console, own, label=label)))


def _turns(config: DictConfig, job: Any, context: Any) -> Generator[None, None, dict[str, float | None]]:
    from hnet_cl.recording import Request
    from hnet_cl.records.failure import record_failure
    from hnet_cl.single_run import run_cooperatively
    from hnet_cl.sweeps.pruning import listeners

    folder, overrides = Path(job.runtime.output_dir), _typed(job)
    settings, hydra_config = named(config, job.runtime.choices), OmegaConf.create({"hydra": job})
    try:
        own = replace(context, listeners=listeners(job.sweeper))
        preset, target = preset_of(job.runtime.choices), target_of(job.runtime.choices, overrides)
        request = Request(overrides, partial(setup_files, settings, hydra_config, overrides), preset, target)
        result = yield from run_cooperatively(settings, folder, request, own)
        return dict(result.metrics)
    except PrunedError:
        raise
    except Exception as error:
        mendable = isinstance(error, UserError | OSError)
        line = explain(error, overrides) if mendable else described(error)
        if isinstance(error, BusyError) and job.mode == RunMode.MULTIRUN:
            raise BusyJobError(line) from None
        if not isinstance(error, OccupiedError):
            record_failure(folder, settings, overrides, line)
        if job.mode == RunMode.MULTIRUN:
            log.error("failed: %s (%s)", line, folder, exc_info=not mendable or settings["debug"])
            raise JobError(line) from None  # the other jobs of a sweep go on
        if mendable:
            _stop(error)
        raise

"""The default sweeper: every combination of the given values."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.report.comparison import Choice, compare_runs
from hnet_cl.sweeps.checking import check_jobs
from hnet_cl.sweeps.composing import compose_all
from hnet_cl.sweeps.jobs import Outcome, by_folder, finish
from hnet_cl.sweeps.labels import announcement, labelled
from hnet_cl.sweeps.launchers import make_launcher
from hnet_cl.sweeps.summary import conclude, finished_folders


class GridSweeper(Sweeper):
    """Hydra's basic sweeper, except that failed jobs neither hide nor end others and no run is run twice.

    Args:
        max_batch_size: number of jobs that the launcher gets at a time; None for all.
        params: overrides by key, treated as if typed; a key that is typed is taken from there alone.
        label: not used here; each job gets one, which its lines on the screen begin with.
    """

    def __init__(self, max_batch_size: int | None, params: Mapping[str, str], label: str | None = None) -> None:
        self._max_batch_size = max_batch_size
        self._params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Checks the settings and makes the launcher; Hydra calls it before `sweep`.

        Raises:
            UserError: the launcher is not installed, or a setting is wrong.
        """
        size, params = self._max_batch_size, self._params
        if size is not None and (not isinstance(size, int) or size < 1):
            raise UserError(f"hydra.sweeper.max_batch_size={size}: give a number of jobs, or null for all at once")
        if not isinstance(params, Mapping):
            raise UserError(f"hydra.sweeper.params={params}: give values by key, as {{seed:'1,2'}}")
        self._loader, self._config = hydra_context.config_loader, config
        self._launcher = make_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[Outcome]:
        """Runs all jobs that are not finished yet, prints their table and a summary; returns an outcome for each job.

        Raises:
            UserError, HydraException: an override of any job is wrong; nothing has run.
            SweepError: jobs failed.
        """
        started = time.monotonic()
        outcomes = self.outcomes(arguments)
        if len(folders := [folder for folder in finished_folders(outcomes) if folder.is_dir()]) > 1:
            print(f"\n{compare_runs(folders, Choice())}", end="", flush=True)
        conclude(outcomes, time.monotonic() - started)
        return outcomes

    def outcomes(self, arguments: list[str]) -> list[Outcome]:
        """Runs all jobs that are not finished yet and returns an outcome for each job.

        Raises:
            UserError, HydraException: an override of any job is wrong; nothing has run.
        """
        typed = {argument.partition("=")[0].lstrip("+") for argument in arguments}
        params = [f"{key}={value}" for key, value in self._params.items() if key not in typed]
        overrides = OverridesParser.create(config_loader=self._loader).parse_overrides([*params, *arguments])
        _no_intervals(overrides)
        batches = BasicSweeper.split_arguments(overrides, self._max_batch_size)
        combinations = [combination for batch in batches for combination in batch]
        if not combinations:
            empty = [o.input_line for o in overrides if o.is_sweep_override() and not [*o.sweep_iterator()]]
            raise UserError(
                f"{', '.join(map(shown, empty))}: fits no choice, so there is no job; give values, as KEY=1,2"
            )
        print("Checking the jobs of the sweep.", flush=True)
        checked = check_jobs(compose_all(self._loader, self._config, combinations))
        by_folder(checked)
        jobs = iter(labelled(checked) if "label" in self._config.hydra.sweeper else checked)
        start_folder(self._config)
        print(announcement(checked), flush=True)
        outcomes: list[Outcome] = []
        for batch in batches:
            outcomes += finish([next(jobs) for _ in batch], self._launcher, first=len(outcomes))
        return outcomes


def start_folder(config: DictConfig) -> None:
    """Creates the folder of all runs and saves the sweep's configuration in it, as Hydra's own sweepers do."""
    folder = Path(config.hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "multirun.yaml"
    if not path.exists() or b"hnet_cl" in path.read_bytes():  # otherwise it belongs to another program
        write_atomically(path, OmegaConf.to_yaml(config))


def _no_intervals(overrides: Sequence[Override]) -> None:
    for override in overrides:
        if override.is_interval_sweep():
            raise UserError(
                f"{override.input_line}: a grid has no intervals; give values, as {override.key_or_group}=1,2, or "
                "search the interval with hydra/sweeper=optuna"
            )

"""The sweeper `optuna`, which asks a shared study for trials and runs them as jobs."""

import hashlib
import importlib.util
import math
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hnet_cl.config.conf_files import own_folders
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import UserError
from hnet_cl.sweeps.checking import check_jobs
from hnet_cl.sweeps.grid import start_folder
from hnet_cl.sweeps.jobs import Job, Outcome, compose, finish, quoted
from hnet_cl.sweeps.launchers import make_launcher
from hnet_cl.sweeps.slots import slot_of
from hnet_cl.sweeps.summary import conclude

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

    from hnet_cl.sweeps.study import SharedStudy


class OptunaSweeper(Sweeper):
    """Hyperparameter search by Optuna; its settings are explained in conf/hydra/sweeper/optuna.yaml."""

    def __init__(self, **settings: Any) -> None:
        """Ignores the settings that Hydra passes; `setup` reads them, where mistakes can be reported in one line."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Checks the settings and makes the launcher; Hydra calls it before `sweep`.

        Raises:
            UserError: a setting is wrong, or a package is not installed.
        """
        if importlib.util.find_spec("optuna") is None:
            raise UserError("hydra/sweeper=optuna: optuna is not installed; pip install 'hnet-cl[search]'")
        from hnet_cl.sweeps.settings import check_search

        self._settings = check_search(config.hydra.sweeper)
        self._loader, self._config = hydra_context.config_loader, config
        self._launcher = make_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[Outcome]:
        """Runs trials until the study has `n_trials`, prints the best one, and returns the outcomes.

        Raises:
            UserError, HydraException: an override is wrong; nothing has run.
            SweepError: trials failed.
        """
        import optuna

        from hnet_cl.sweeps.space import one_by_one, search_space

        started = time.monotonic()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        params = [f"{key}={value}" for key, value in self._settings.params.items()]
        overrides = OverridesParser.create(config_loader=self._loader).parse_overrides([*params, *arguments])
        typed = {override.get_key_element(): override for override in overrides}
        space = search_space(list(typed.values()))
        fixed = [_as_fixed(override) for key, override in typed.items() if key not in space]
        check_jobs([compose(self._loader, self._config, [*fixed, *drawn], 0) for drawn in one_by_one(space)])
        base = compose(self._loader, self._config, fixed, 0)
        start_folder(self._config)
        study = self._study(base, fixed, space)
        _warn_of_test_data(base, space)
        outcomes: list[Outcome] = []
        if running := study.running():
            print(f"hnet_cl: {running} trials have not ended; waiting for a sign of life of them", file=sys.stderr)
            study.wait_for_signs()
        while asked := study.ask(self._settings.batch):
            trials = [trial for trial, _ in asked]
            with study.alive(trials):
                jobs = [self._job(study, trial, fixed, drawn) for trial, drawn in asked]
                ended = finish(jobs, self._launcher, first=slot_of(trials[0]), patience=math.inf)
                for trial, outcome in zip(trials, ended, strict=True):
                    self._tell(study, trial, outcome)
            outcomes += ended
        print(report(study.best(), self._settings.metric, fixed, study.running()))
        conclude(outcomes, time.monotonic() - started)
        return outcomes

    def _study(self, base: Job | Outcome, fixed: Sequence[str], space: Mapping[str, Any]) -> "SharedStudy":
        """Opens the study of this search; the same command opens the same study again."""
        from hnet_cl.sweeps.study import SharedStudy

        settings = self._settings
        varied = ", ".join(f"{key}: {kind}" for key, kind in sorted(space.items()))
        if isinstance(base, Job):
            names = "-".join(base.config[group]["name"] for group in ("benchmark", "scenario", "method"))
            what = f"{names} {config_id(base.config)} seed={base.config['seed']}"
        else:  # the configuration is invalid without the values that the search varies
            names, what = "search", " ".join(sorted(fixed))
        search = f"{settings.direction} {settings.metric} of {what} over {varied}"
        name = settings.study_name or f"{names}-{hashlib.sha256(search.encode()).hexdigest()[:8]}"
        return SharedStudy(name, search, space, settings)

    def _job(self, study: "SharedStudy", trial: "Trial", fixed: Sequence[str], drawn: Sequence[str]) -> Job | Outcome:
        report_to = [f"hydra.sweeper.trial={trial._trial_id}", f"hydra.sweeper.study_name={quoted(study.name)}"]
        job = compose(self._loader, self._config, [*fixed, *drawn], slot_of(trial), report_to)
        trial.set_user_attr("overrides", list(drawn))
        trial.set_user_attr("folder", str(job.folder))
        return replace(job, label=f"trial {slot_of(trial)}") if isinstance(job, Job) else job

    def _tell(self, study: "SharedStudy", trial: "Trial", outcome: Outcome) -> None:
        metric = self._settings.metric
        value = outcome.metrics.get(metric)
        error = outcome.error if outcome.status == "failed" else None
        if outcome.status == "finished" and value is None:
            error = f"{metric} is not defined for this run"
        study.tell(trial, value, error, outcome.metrics)
        print(f"trial {slot_of(trial)}: {error or outcome.error or f'{metric} {value:.4f}'}", flush=True)


def _as_fixed(override: Override) -> str:
    """Returns an override of one value as typed; of a sweep over a single value, key=value."""
    if override.is_sweep_override():
        return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"
    return str(override.input_line)


def report(best: "FrozenTrial | None", metric: str, fixed: Sequence[str], running: int) -> str:
    """Describes the best trial: its value, drawn settings, folder, and the command that runs it without validation.

    Args:
        best: the best trial; None if none has finished.
        metric: name of the metric that is searched for.
        fixed: overrides that all trials share.
        running: number of trials that are running in other processes.
    """
    lines = [f"\n{running} trials run in other processes at the moment"] if running else []
    if best is None:
        return "\n".join([*lines, "\nno trial has finished"])
    drawn = best.user_attrs["overrides"]
    kept = [override for override in fixed if not override.lstrip("+").startswith("training.validation=")]
    folders = [f"--config-dir={folder}" for folder in own_folders(sys.argv[1:])]
    again = shlex.join(["python", "-m", "hnet_cl", *folders, *kept, *drawn])
    lines += [
        f"\nbest trial: {slot_of(best)} with {metric} {best.value:.4f}",
        f"  {' '.join(drawn)}",
        f"  {best.user_attrs['folder']}",
        f"run it{'' if len(kept) == len(fixed) else ' on the test data'}:",
        f"  {again}",
    ]
    return "\n".join(lines)


def _warn_of_test_data(base: Job | Outcome, space: Mapping[str, Any]) -> None:
    if isinstance(base, Job) and not base.config["training"]["validation"] and "training.validation" not in space:
        print(
            "hnet_cl: this search chooses settings by the test data; training.validation=0.1 holds out training data "
            "for that",
            file=sys.stderr,
        )

"""What a search's job does between tasks: it reports, and stops if there is no hope."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hnet_cl.records.run_folder import read_result
from hnet_cl.sweeps.errors import PrunedError


class TrialReport:
    """Listens to a run and tells its metric so far to the study; the recorder has to hear of everything before.

    Args:
        sweeper: the sweeper's configuration; its `trial` is the number in the database of this run's trial.
        folder: the run folder.
    """

    def __init__(self, sweeper: Mapping[str, Any], folder: Path) -> None:
        import optuna

        from hnet_cl.sweeps.study import make_pruner, open_storage

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = open_storage(sweeper["storage"])
        pruner = make_pruner(sweeper["pruning"])
        study = optuna.load_study(study_name=sweeper["study_name"], storage=storage, pruner=pruner)
        self._storage = storage
        self._trial = optuna.trial.Trial(study, sweeper["trial"])
        self._metric = sweeper["metric"]
        self._folder = folder

    def begin_task(self, task: int, iteration: int) -> None:
        """Tells the metric after the task before; now and not then, as a job may have been killed in between.

        Raises:
            PrunedError: the other trials were better after that task.
        """
        result = read_result(self._folder)
        value = result.metrics.get(self._metric) if result else None
        if task == 0 or value is None:
            return
        if task - 1 not in self._storage.get_trial(self._trial._trial_id).intermediate_values:
            self._trial.report(value, step=task - 1)
        if self._trial.should_prune():
            raise PrunedError(f"pruned by the search after task {task}: {self._metric} {value:.4f} so far")

    def losses(self, task: int, iteration: int, losses: Mapping[str, float]) -> None:
        """Nothing to tell yet."""

    def end_task(self, task: int) -> None:
        """Nothing to tell yet."""

    def samples(self, task: int, pictures: Any, recognised: Sequence[float], real: float) -> None:
        """Nothing to tell yet."""

    def row(self, task: int, accuracies: Sequence[float | None], inferred: Sequence[Sequence[int]] | None) -> None:
        """Nothing to tell yet."""


def listeners(sweeper: Mapping[str, Any], folder: Path) -> list[TrialReport]:
    """What listens to this run beside what always does: a report, if it is a trial of a search that prunes."""
    return [TrialReport(sweeper, folder)] if sweeper.get("trial") is not None and sweeper["pruning"] else []

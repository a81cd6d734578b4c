"""Reports of a search's jobs between tasks, after which the search may prune them."""

from collections.abc import Mapping
from typing import Any

from hnet_cl.records.logger import Logger
from hnet_cl.records.run_state import RunState
from hnet_cl.sweeps.errors import PrunedError


class TrialReport(Logger):
    """Reports a run's metric so far to the study of its search, and stops the run if the study prunes it.

    Args:
        sweeper: the sweeper's configuration; its `trial` is the id of this run's trial in the database.
    """

    def __init__(self, sweeper: Mapping[str, Any]) -> None:
        super().__init__()
        import optuna

        from hnet_cl.sweeps.study import make_pruner, open_storage

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = open_storage(sweeper["storage"])
        pruner = make_pruner(sweeper["pruning"])
        study = optuna.load_study(study_name=sweeper["study_name"], storage=storage, pruner=pruner)
        self._storage = storage
        self._trial = optuna.trial.Trial(study, sweeper["trial"])
        self._metric = sweeper["metric"]

    def begin_task(self, state: RunState) -> None:
        """Reports the metric after the previous task.

        It is reported here and not at the end of that task because the job may be killed and continued in between.

        Raises:
            PrunedError: the pruner stops the trial, since others were better after that task.
        """
        task, value = state.task, state.metrics.get(self._metric)
        if task == 0 or value is None:
            return
        if task - 1 not in self._storage.get_trial(self._trial._trial_id).intermediate_values:
            self._trial.report(value, step=task - 1)
        if self._trial.should_prune():
            raise PrunedError(f"pruned by the search after task {task}: {self._metric} {value:.4f} so far")


def listeners(sweeper: Mapping[str, Any]) -> list[Logger]:
    """Returns the additional loggers of a run: a `TrialReport` if it is a trial of a search that prunes."""
    return [TrialReport(sweeper)] if sweeper.get("trial") is not None and sweeper["pruning"] else []

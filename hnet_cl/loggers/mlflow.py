"""MLflow: settings, losses and metrics of runs in one store, e.g. a local database."""

import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Self

from filelock import FileLock
from pydantic import Field, model_validator

from hnet_cl.core.optional import require
from hnet_cl.loggers.curves import of_end, of_losses, of_row, of_samples, of_window
from hnet_cl.loggers.hparams import hparams
from hnet_cl.records.logger import Logger
from hnet_cl.records.run_state import RunState, Samples

TAG = "hnet_cl.single_run"  # holds configuration id and seed, by which a continued run is found
STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
SQLITE = "sqlite:///"
PARAMETERS = 100  # the most that MLflow accepts in one call
LONGEST_WAIT_S = 60  # for another run that is creating the database


class MlflowLogger(Logger):
    """Writes to an MLflow store.

    The step of `loss/*` and `old_tasks/*` is the iteration over all tasks; that of all other curves the number of
    tasks learned.
    """

    class Settings(Logger.Settings):
        """The store, as MLflow's tracking URI, and the experiment to which runs are added."""

        uri: Annotated[str, Field(min_length=1)]
        experiment: Annotated[str, Field(min_length=1)]

        @model_validator(mode="after")
        def _installed(self) -> Self:
            require("mlflow", "mlflow")
            return self

    _client: Any
    _id: str

    def begin_run(self, state: RunState) -> None:
        """Reopens the MLflow run of a continued run, or creates a new one."""
        with _quiet(), _alone(self.settings.uri):
            from mlflow import MlflowClient

            self._client = MlflowClient(tracking_uri=self.settings.uri)
            found = self._client.get_experiment_by_name(self.settings.experiment)
            experiment = found.experiment_id if found else self._client.create_experiment(self.settings.experiment)
        facts = state.facts
        own = f"{facts.config_id}-{facts.seed}"
        earlier = self._client.search_runs([experiment], f"tags.`{TAG}` = '{own}'") if state.iterations_done else []
        if earlier:
            self._id = earlier[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return
        tags = {TAG: own, "folder": str(state.folder), "data": str(facts.data["name"])}
        name = f"{facts.benchmark}-{facts.scenario}-{facts.method} seed={facts.seed}"
        self._id = self._client.create_run(experiment, tags=tags, run_name=name).info.run_id
        self._parameters(hparams(state) | {"config_id": facts.config_id})

    def _parameters(self, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(name, str(value)) for name, value in values.items()]
        for start in range(0, len(params), PARAMETERS):
            self._client.log_batch(self._id, params=params[start : start + PARAMETERS])

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        """Adds a point to each loss's curve."""
        self._log(of_losses(losses), state.iterations_done)

    def window(self, state: RunState) -> None:
        """Adds a point to the curve of each old task's score within the window."""
        self._log(of_window(state), state.iterations_done)

    def samples(self, state: RunState, samples: Samples) -> None:
        """Logs the fraction of each task's generated samples that is recognised, and that of real images."""
        self._log(of_samples(samples), state.task + 1)

    def row(self, state: RunState) -> None:
        """Adds a point to the curve of each task's score and to each metric's curve."""
        self._log(of_row(state), state.learned)

    def end_run(self, state: RunState) -> None:
        """Adds the final metrics of a finished run, and closes the MLflow run with the status of this one."""
        if state.status == "finished":
            self._log(of_end(state), state.learned)
        self._client.set_terminated(self._id, status=STATUS[state.status])

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        points = [Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=points)


@contextmanager
def _quiet() -> Iterator[None]:
    """Turns off MLflow's telemetry and its log messages below WARNING and, while inside, all Python warnings."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about MLflow's own use of SQLAlchemy
        yield


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Locks a local SQLite database while inside, so that only one run at a time creates its tables.

    Does nothing for other stores.

    Raises:
        filelock.Timeout: another run holds the lock for more than a minute.
    """
    if not uri.startswith(SQLITE):
        yield
        return
    database = Path(uri.removeprefix(SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock", timeout=LONGEST_WAIT_S):
        yield

"""A search's trials in a database: shared by processes, and complete however often they are killed."""

import contextlib
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from hnet_cl.errors import UserError
from hnet_cl.interruption import sleep
from hnet_cl.sweeps.settings import SearchSettings
from hnet_cl.sweeps.space import suggest

MISSED = 3  # signs of life after which a trial counts as dead
RETRY_OF, ERROR, SURPLUS = "retry_of", "error", "surplus"  # what is noted at a trial


class SharedStudy:
    """An Optuna study that several processes work on at once.

    Each trial that runs gives a sign of life every `heartbeat` seconds. One that has stopped doing so is dead: it is
    closed and its values are put in the queue again, as are those of failed trials when a process joins.

    Args:
        name: of the study; made if missing.
        search: what is searched, in one text: a study of the same name must have searched the same.
        space: what to draw for each trial; see `search_space`.
        settings: among them the database, as SQLAlchemy reads it; a trial's draw depends on the seed there, the
            trial's number, and the results so far.

    Raises:
        UserError: no such database, or the study belongs to another search.
    """

    def __init__(self, name: str, search: str, space: Mapping[str, BaseDistribution], settings: SearchSettings) -> None:
        self.name, self._space, self._settings = name, space, settings
        self._storage = open_storage(settings.storage, settings.heartbeat)
        self.study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            direction=settings.direction,
            load_if_exists=True,
            pruner=make_pruner(settings.pruning.model_dump() if settings.pruning else None),
        )
        self._own_search(search)
        self._retry(also_failed=True)

    def _own_search(self, search: str) -> None:
        known = self.study.user_attrs.get("search")
        if known is None:
            self.study.set_user_attr("search", search)
        elif known != search:
            name = self.study.study_name
            raise UserError(
                f"hydra.sweeper.study_name={name}: belongs to another search ({known}); give this one "
                f"({search}) another name"
            )

    def ask(self, at_most: int) -> list[tuple[Trial, list[str]]]:
        """The next trials to run and their overrides: fewer than `at_most` at the end, none when nothing is left.

        Before it says none it waits until it is sure of the trials that run elsewhere: a dead one would be its own.
        """
        until = time.monotonic() + self._settings.heartbeat * (MISSED + 1)
        while True:
            self._retry()
            asked: list[tuple[Trial, list[str]]] = []
            while len(asked) < at_most and (new := self._next()):
                asked.append(new)
            if asked or not self.running() or time.monotonic() > until:
                return asked
            sleep(self._settings.heartbeat)

    def _next(self) -> tuple[Trial, list[str]] | None:
        if sum(map(self._counts, self._trials())) >= self._settings.n_trials:
            return None
        with quiet():
            trial = self.study.ask()
        self._storage.record_heartbeat(trial._trial_id)
        trials = self._trials()
        before = sum(self._counts(other) for other in trials if other.number < trial.number)
        retry_of = trial.user_attrs.get(RETRY_OF)
        twice = any(
            other.user_attrs.get(RETRY_OF) == retry_of is not None and other.number < trial.number for other in trials
        )
        if twice or before >= self._settings.n_trials:  # another process was quicker
            trial.set_user_attr(SURPLUS, True)
            self.study.tell(trial, state=TrialState.FAIL)
            return self._next()
        self.study.sampler = self._sampler(trial.number)
        return trial, suggest(trial, self._space)

    def _sampler(self, number: int) -> TPESampler:
        seed = int(np.random.SeedSequence([self._settings.seed, number]).generate_state(1)[0])
        return TPESampler(seed=seed, n_startup_trials=self._settings.startup_trials, constant_liar=True)

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _counts(self, trial: FrozenTrial) -> bool:
        """Whether a trial is one of the `n_trials`."""
        if trial.state == TrialState.FAIL:
            return ERROR in trial.user_attrs and not self._retried(trial)
        return trial.state != TrialState.WAITING and SURPLUS not in trial.user_attrs

    def _retried(self, trial: FrozenTrial) -> bool:
        return any(other.user_attrs.get(RETRY_OF) == trial.number for other in self._trials())

    def _retry(self, also_failed: bool = False) -> None:
        """Puts the values of dead trials in the queue again, once."""
        with quiet():
            fail_stale_trials(self.study)
        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.FAIL]):
            wanted = SURPLUS not in trial.user_attrs and (also_failed or ERROR not in trial.user_attrs)
            if wanted and not self._retried(trial):
                self.study.enqueue_trial(trial.params, user_attrs={RETRY_OF: trial.number})

    def running(self) -> int:
        """Trials that run now, in whatever process."""
        return len(self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]))

    def tell(
        self, trial: Trial, value: float | None, error: str | None = None, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """How a trial ended: with a value, by an error, or pruned if there is neither.

        Not heard for a trial that others took for dead, as that of a machine that slept: its values run again.
        """
        ended = TrialState.FAIL if error else TrialState.PRUNED if value is None else None
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            trial.set_user_attr("metrics", dict(metrics or {}))
            if error:
                trial.set_user_attr(ERROR, error)
            self.study.tell(trial, value, state=ended, skip_if_finished=True)

    @contextmanager
    def alive(self, trials: Sequence[Trial]) -> Iterator[None]:
        """Inside, the trials give signs of life."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self._settings.heartbeat):
                for trial in trials:
                    try:
                        self._storage.record_heartbeat(trial._trial_id)
                    except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
                        continue  # the database may be there again the next time

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def best(self) -> FrozenTrial | None:
        """The trial with the best value, of equals the first; None without one."""
        finished = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        sign = 1 if self.study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        return min(finished, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, Optuna does not warn of signs of life, which are experimental and meant for its own loop."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        yield


def open_storage(url: str, heartbeat: int | None = None) -> RDBStorage:
    """The database; one in a file waits up to a minute for other processes that write.

    Raises:
        UserError: it cannot be reached, or its driver is not installed.
    """
    arguments = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    grace = heartbeat and heartbeat * MISSED
    for wait in (0.5, 1.0, 2.0, 0.0):
        try:
            with quiet():
                return RDBStorage(url, engine_kwargs=arguments, heartbeat_interval=heartbeat, grace_period=grace)
        except (SQLAlchemyError, ImportError, ValueError, optuna.exceptions.StorageInternalError) as error:
            reason = " ".join(str(error).split())
            if not isinstance(error, DBAPIError):
                break
        time.sleep(wait)  # another process may be making the tables at the same moment
    raise UserError(f"hydra.sweeper.storage={url}: cannot be opened ({reason})")


def make_pruner(pruning: Mapping[str, Any] | None) -> BasePruner:
    """Stops trials below the median of the others after the same task; none if `pruning` is None.

    Its `startup_trials` are all brought to their end, and so are the first `warmup_tasks` of every trial.
    """
    if pruning is None:
        return NopPruner()
    return MedianPruner(n_startup_trials=pruning["startup_trials"], n_warmup_steps=pruning["warmup_tasks"])

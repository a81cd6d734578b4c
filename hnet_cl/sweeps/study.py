"""The trials of a search in a database, shared by processes and robust to their being killed."""

import contextlib
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from hnet_cl.core.errors import UserError
from hnet_cl.core.signals import sleep
from hnet_cl.sweeps.settings import SearchSettings
from hnet_cl.sweeps.slots import SLOT, slot_of
from hnet_cl.sweeps.space import suggest

SIGNS = sqlalchemy.text("SELECT trial_id, heartbeat FROM trial_heartbeats")  # Optuna has no public access to them
MISSED = 3  # heartbeats missed until a trial counts as dead
RETRY_OF, ERROR, SURPLUS = "retry_of", "error", "surplus"  # keys of trials' user attributes


class SharedStudy:
    """An Optuna study that several processes work on concurrently.

    The search has `n_trials` slots. A running trial sends a heartbeat every `heartbeat` seconds. A trial without
    heartbeats is dead: it is closed, and the next trial is for its slot, with the same values. When all slots have been
    run, those that had failed before this process joined are run again.

    The values drawn for a slot depend on the seed, the slot and the results so far, but not on Optuna's numbers. So a
    search in a single process, with one trial at a time, that is killed and started again has the same trials as one
    that was never interrupted.

    Args:
        name: name of the study; created if missing.
        search: description of the search; an existing study of that name must have the same.
        space: distributions to draw each trial from; see `search_space`.
        settings: settings of the search; `storage` is the database's URL for SQLAlchemy.

    Raises:
        UserError: the database cannot be opened, or the study belongs to another search.
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
        self._failed_before = {trial.number for trial in self._trials() if ERROR in trial.user_attrs}

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

    def wait_for_signs(self) -> None:
        """Waits until each trial that is marked as running has sent a heartbeat or is closed as dead.

        Otherwise values for the next slot would be drawn while the results of dead trials are still missing.

        Raises:
            Interrupted: a signal came.
        """
        before = self._signs()
        until = time.monotonic() + self._settings.heartbeat * (MISSED + 1)
        while silent := self._silent_since(before):
            if time.monotonic() > until:  # e.g. a trial that was killed before its first heartbeat
                for trial in silent:
                    self._close(trial.number)
            sleep(min(self._settings.heartbeat / 4, 1.0))
            self._close_dead()

    def ask(self, at_most: int) -> list[tuple[Trial, list[str]]]:
        """Returns the next trials to run and their overrides: fewer than `at_most` at the end, then none.

        Before returning none, waits until trials that run elsewhere have ended or missed their heartbeats, because a
        dead one would have to be run again.

        Raises:
            Interrupted: a signal came.
        """
        until = time.monotonic() + self._settings.heartbeat * (MISSED + 1)
        while True:
            self._close_dead()
            asked: list[tuple[Trial, list[str]]] = []
            while len(asked) < at_most and (slot := self._free_slot()) is not None:
                if new := self._take(slot):
                    asked.append(new)
            if asked or not self.running() or time.monotonic() > until:
                return asked
            sleep(self._settings.heartbeat)

    def _free_slot(self) -> int | None:
        """Returns the slot to run next: a dead trial's, else a new one, else one that failed before this joined."""
        latest = {slot_of(trial): trial for trial in self._trials() if trial.state != TrialState.WAITING}
        failed = {slot: trial for slot, trial in latest.items() if trial.state == TrialState.FAIL}
        if dead := [slot for slot, trial in failed.items() if ERROR not in trial.user_attrs]:
            return min(dead)
        if len(latest) < self._settings.n_trials:
            return next(slot for slot in range(len(latest) + 1) if slot not in latest)
        return min((slot for slot, trial in failed.items() if trial.number in self._failed_before), default=None)

    def _take(self, slot: int) -> tuple[Trial, list[str]] | None:
        """Creates a running trial for the slot and returns it with its overrides; None if another process was first."""
        earlier = [trial for trial in self._trials() if slot_of(trial) == slot]
        if not any(trial.state == TrialState.WAITING for trial in earlier):
            last = earlier[-1] if earlier else None
            values = last.params if last and last.params.keys() == self._space.keys() else {}
            self.study.enqueue_trial(values, user_attrs={SLOT: slot, RETRY_OF: last and last.number})
        with quiet():
            trial = self.study.ask()
        self._storage.record_heartbeat(trial._trial_id)
        if self._taken_twice(trial):
            trial.set_user_attr(SURPLUS, True)
            self._close(trial.number)
            return None
        for step, value in {step: value for one in earlier for step, value in one.intermediate_values.items()}.items():
            trial.report(value, step)  # the job continues after these tasks
        self.study.sampler = self._sampler(slot_of(trial))
        return trial, suggest(trial, self._space)

    def _taken_twice(self, trial: Trial) -> bool:
        """Tells whether another process has already queued the same trial, or has taken the one queued here."""
        if SLOT not in trial.user_attrs:
            return True
        key = trial.user_attrs[SLOT], trial.user_attrs[RETRY_OF]
        others = [other for other in self._trials() if other.number < trial.number]
        return any((slot_of(other), other.user_attrs.get(RETRY_OF)) == key for other in others)

    def _sampler(self, slot: int) -> TPESampler:
        seed = int(np.random.SeedSequence([self._settings.seed, slot]).generate_state(1)[0])
        return TPESampler(seed=seed, n_startup_trials=self._settings.startup_trials, constant_liar=True)

    def _trials(self) -> list[FrozenTrial]:
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if SURPLUS not in trial.user_attrs]

    def _silent_since(self, before: Mapping[int, Any]) -> list[FrozenTrial]:
        now = self._signs()
        return [one for one in self._running() if now.get(one._trial_id) == before.get(one._trial_id)]

    def _signs(self) -> dict[int, Any]:
        """Returns the time of each trial's last heartbeat, by the trial's id in the database."""
        with self._storage.engine.connect() as connection:
            return {row.trial_id: row.heartbeat for row in connection.execute(SIGNS)}

    def _close_dead(self) -> None:
        with quiet():
            fail_stale_trials(self.study)

    def _close(self, number: int) -> None:
        """Marks a trial as failed, unless it has ended."""
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def _running(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING])

    def running(self) -> int:
        """Returns the number of trials that are marked as running, in all processes."""
        return len(self._running())

    def tell(
        self, trial: Trial, value: float | None, error: str | None = None, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Records how a trial ended: with a value, with an error, or pruned if there is neither.

        Ignored if other processes have closed the trial as dead, e.g. after this machine was suspended; its values are
        then run again.

        Args:
            trial: a trial from `ask`.
            value: its metric; None if it has none.
            error: why it failed.
            metrics: all metrics of the run, kept as a user attribute.
        """
        ended = TrialState.FAIL if error else TrialState.PRUNED if value is None else None
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            trial.set_user_attr("metrics", dict(metrics or {}))
            if error:
                trial.set_user_attr(ERROR, error)
            self.study.tell(trial, value, state=ended, skip_if_finished=True)

    @contextmanager
    def alive(self, trials: Sequence[Trial]) -> Iterator[None]:
        """Sends the trials' heartbeats while inside; an exception, such as a signal's, closes them as dead at once."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self._settings.heartbeat):
                for trial in trials:
                    try:
                        self._storage.record_heartbeat(trial._trial_id)
                    except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
                        continue  # the database may be available again the next time

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            for trial in trials:
                with contextlib.suppress(SQLAlchemyError, optuna.exceptions.StorageInternalError):
                    self._close(trial.number)
            raise
        finally:
            over.set()
            thread.join()

    def best(self) -> FrozenTrial | None:
        """Returns the trial with the best value (the lowest slot of several); None if no trial has finished."""
        finished = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        sign = 1 if self.study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        return min(finished, key=lambda trial: (sign * (trial.value or 0.0), slot_of(trial)), default=None)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Optuna's warnings about heartbeats, which are experimental and meant for its own loop."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        yield


def open_storage(url: str, heartbeat: int | None = None) -> RDBStorage:
    """Opens the database of a search; SQLite waits up to a minute for other processes that are writing.

    Args:
        url: the database's URL for SQLAlchemy.
        heartbeat: seconds between heartbeats of a trial; None for no heartbeats.

    Raises:
        UserError: the database cannot be reached, or its driver is not installed.
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
        sleep(wait)  # another process may be creating the tables at the same moment
    raise UserError(f"hydra.sweeper.storage={url}: cannot be opened ({reason})")


def make_pruner(pruning: Mapping[str, Any] | None) -> BasePruner:
    """Makes a pruner that stops trials worse than the median of the others after the same task.

    Nothing is pruned if `pruning` is None, before `startup_trials` trials have finished, or in the first
    `warmup_tasks` of a trial.
    """
    if pruning is None:
        return NopPruner()
    return MedianPruner(n_startup_trials=pruning["startup_trials"], n_warmup_steps=pruning["warmup_tasks"])

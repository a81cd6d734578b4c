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

SIGNS = sqlalchemy.text("SELECT trial_id, heartbeat FROM trial_heartbeats")  # Optuna writes them, but tells no one
MISSED = 3  # signs of life after which a trial counts as dead
RETRY_OF, ERROR, SURPLUS = "retry_of", "error", "surplus"  # what is noted at a trial


class SharedStudy:
    """An Optuna study that several processes work on at once.

    The search has `n_trials` slots. A trial that runs gives a sign of life every `heartbeat` seconds. One that has
    stopped doing so is dead: it is closed, and the next trial is one for its slot, with its values. When all slots have
    been run, those that had failed before this process joined are run again.

    What is drawn for a slot depends on the seed, on the slot and on the results so far, and not on Optuna's numbers: a
    search that is killed and started again, as one process with one trial at a time, has the trials of one that never
    was.

    Args:
        name: of the study; made if missing.
        search: what is searched, in one text: a study of the same name must have searched the same.
        space: what to draw for each trial; see `search_space`.
        settings: among them the database, as SQLAlchemy reads it.

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
        """Waits until each trial that seems to run has given a sign of life, or is dead and closed.

        Who goes on without would draw for the next slot while the results of dead trials are still missing.
        """
        before = self._signs()
        until = time.monotonic() + self._settings.heartbeat * (MISSED + 1)
        while silent := self._silent_since(before):
            if time.monotonic() > until:  # as one that was killed before its first sign
                for trial in silent:
                    self._close(trial.number)
            sleep(min(self._settings.heartbeat / 4, 1.0))
            self._close_dead()

    def ask(self, at_most: int) -> list[tuple[Trial, list[str]]]:
        """Returns the next trials to run and their overrides: fewer than `at_most` at the end, then none.

        Before it says none it waits until it is sure of the trials that run elsewhere: a dead one would be its own.
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
        """Finds the slot to run next: a dead trial's, a new one, or that of a trial that failed before this joined."""
        latest = {slot_of(trial): trial for trial in self._trials() if trial.state != TrialState.WAITING}
        failed = {slot: trial for slot, trial in latest.items() if trial.state == TrialState.FAIL}
        if dead := [slot for slot, trial in failed.items() if ERROR not in trial.user_attrs]:
            return min(dead)
        if len(latest) < self._settings.n_trials:
            return next(slot for slot in range(len(latest) + 1) if slot not in latest)
        return min((slot for slot, trial in failed.items() if trial.number in self._failed_before), default=None)

    def _take(self, slot: int) -> tuple[Trial, list[str]] | None:
        """Creates a trial for the slot, which runs from now on; returns None if another process was quicker."""
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
            trial.report(value, step)  # its job goes on after these
        self.study.sampler = self._sampler(slot_of(trial))
        return trial, suggest(trial, self._space)

    def _taken_twice(self, trial: Trial) -> bool:
        """Tells whether another process has queued the same before, or has taken what this one had queued."""
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
        """Returns when each trial, by its number in the database, gave its last sign of life."""
        with self._storage.engine.connect() as connection:
            return {row.trial_id: row.heartbeat for row in connection.execute(SIGNS)}

    def _close_dead(self) -> None:
        with quiet():
            fail_stale_trials(self.study)

    def _close(self, number: int) -> None:
        """Lets a trial be dead, unless it has ended."""
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def _running(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING])

    def running(self) -> int:
        """Trials that run now, in whatever process."""
        return len(self._running())

    def tell(
        self, trial: Trial, value: float | None, error: str | None = None, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Records how a trial ended: with a value, by an error, or pruned if there is neither.

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
        """Makes the trials give signs of life; what ends it early, such as a signal, declares them dead at once."""
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
        except BaseException:
            for trial in trials:
                with contextlib.suppress(SQLAlchemyError, optuna.exceptions.StorageInternalError):
                    self._close(trial.number)
            raise
        finally:
            over.set()
            thread.join()

    def best(self) -> FrozenTrial | None:
        """Returns the trial with the best value, the first of equals; None without one."""
        finished = self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        sign = 1 if self.study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        return min(finished, key=lambda trial: (sign * (trial.value or 0.0), slot_of(trial)), default=None)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Optuna's warning about signs of life, which are experimental and meant for its own loop."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        yield


def open_storage(url: str, heartbeat: int | None = None) -> RDBStorage:
    """Opens the database; one in a file waits up to a minute for other processes that write.

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
        sleep(wait)  # another process may be making the tables at the same moment
    raise UserError(f"hydra.sweeper.storage={url}: cannot be opened ({reason})")


def make_pruner(pruning: Mapping[str, Any] | None) -> BasePruner:
    """Stops trials below the median of the others after the same task; none if `pruning` is None.

    Its `startup_trials` are all brought to their end, and so are the first `warmup_tasks` of every trial.
    """
    if pruning is None:
        return NopPruner()
    return MedianPruner(n_startup_trials=pruning["startup_trials"], n_warmup_steps=pruning["warmup_tasks"])

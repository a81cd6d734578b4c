"""A search that is killed at any moment has the trials of one that was not."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from searches import search_settings
from sqlalchemy import Engine, event
from test_study import kill

from hnet_cl.sweeps import study as module
from hnet_cl.sweeps.settings import SearchSettings
from hnet_cl.sweeps.slots import slot_of
from hnet_cl.sweeps.study import SharedStudy

SPACE = {
    "x": FloatDistribution(1e-3, 1.0, log=True),
    "n": IntDistribution(1, 9),
    "c": CategoricalDistribution(("a", "b", "c")),
}
TRIALS, TASKS = 8, 2
EVERY = 19


class KilledError(BaseException):
    """What a kill is in one process: nobody catches it."""


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which all waiting is short."""
    now = itertools.count()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(now), sleep=lambda _: None))


@pytest.fixture
def dies() -> Iterator[Callable[[int | None], None]]:
    """Has the process killed just before the n-th change to a database from now on."""
    left: list[int | None] = [None]

    def commits(connection: Any) -> None:
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                connection.connection.rollback()  # as the database does when its file is opened the next time
                raise KilledError

    event.listen(Engine, "commit", commits)
    yield lambda number: left.__setitem__(0, number)
    event.remove(Engine, "commit", commits)


def settings(database: Path) -> SearchSettings:
    pruning = {"startup_trials": 2, "warmup_tasks": 0}
    return search_settings(f"sqlite:///{database}", n_trials=TRIALS, startup_trials=3, pruning=pruning)


def accuracy(overrides: list[str]) -> float:
    """What a job would reach."""
    x, n, c = (override.partition("=")[2] for override in overrides)
    return 1 - abs(float(x) - 0.1) - 0.01 * int(n) - 0.1 * "abc".index(c)


def run(database: Path) -> None:
    """One process of the search, one trial at a time: one of them fails, and hopeless ones are pruned."""
    study = SharedStudy("study", "", SPACE, settings(database))
    if study.running():
        study.wait_for_signs()
    while asked := study.ask(1):
        ((trial, overrides),) = asked
        value: float | None = accuracy(overrides)
        for task in range(TASKS):
            if task not in study._storage.get_trial(trial._trial_id).intermediate_values:
                trial.report(accuracy(overrides), task)
            if trial.should_prune():
                value = None
                break
        study.tell(trial, value, "too much" if slot_of(trial) == 4 else None)


def told(database: Path) -> dict[int, Any]:
    """Of each slot that has ended: values, how, with what, and what was told before."""
    trials = SharedStudy("study", "", SPACE, settings(database))._trials()
    kept = [trial for trial in trials if trial.state != TrialState.FAIL or "error" in trial.user_attrs]
    return {slot_of(one): (one.params, one.state.name, one.value, one.intermediate_values) for one in kept}


@pytest.fixture(scope="module")
def whole(_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """The search that nobody kills."""
    path = tmp_path_factory.mktemp("whole") / "search.db"
    path.write_bytes(_tables.read_bytes())
    run(path)
    found = told(path)
    assert sorted(found) == list(range(TRIALS))
    assert {state for _, state, _, _ in found.values()} == {"COMPLETE", "PRUNED", "FAIL"}
    return found


@pytest.mark.parametrize(
    "moment", [61, *(pytest.param(moment, marks=pytest.mark.slow) for moment in range(2, 180, EVERY))]
)
def test_a_kill_changes_nothing(moment: int, dies: Any, whole: dict[int, Any], database: Path) -> None:
    dies(moment)
    with pytest.raises(KilledError):
        run(database)
    dies(None)
    kill(database)
    run(database)
    assert told(database) == whole


@pytest.mark.slow
def test_many_kills_change_nothing(dies: Any, whole: dict[int, Any], database: Path) -> None:
    kills = 0
    for moment in itertools.cycle([47, 71, 53]):
        dies(moment)
        try:
            run(database)
            break
        except KilledError:
            kills += 1
            kill(database)
    dies(None)
    assert told(database) == whole and kills > 5

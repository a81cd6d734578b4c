"""A study that several processes share: who runs which trial, and that the sum is right whatever dies."""

import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import Trial
from searches import search_settings

from hnet_cl.core.errors import UserError
from hnet_cl.sweeps.study import SharedStudy

SPACE = {"x": FloatDistribution(0.0, 1.0)}
Joins = Callable[..., SharedStudy]


@pytest.fixture
def join(database: Path) -> Joins:
    """Makes one process's view of the same study; a trial is dead after three seconds without a sign of life."""

    def joined(name: str = "study", search: str = "acc over x", **changes: Any) -> SharedStudy:
        return SharedStudy(name, search, SPACE, search_settings(f"sqlite:///{database}", **changes))

    return joined


def ask(study: SharedStudy, at_most: int) -> list[Trial]:
    return [trial for trial, _ in study.ask(at_most)]


def drawn(study: SharedStudy, at_most: int) -> list[str]:
    return [override for _, overrides in study.ask(at_most) for override in overrides]


def kill(database: Path) -> None:
    """Lets the running trials' last signs of life lie long ago."""
    connection = sqlite3.connect(database)
    connection.execute("update trial_heartbeats set heartbeat = '2001-01-01 00:00:00'")
    connection.commit()
    connection.close()


def run(study: SharedStudy, value: Callable[[int], float] = float) -> list[int]:
    """Runs trials until there are none; their numbers."""
    numbers = []
    while trials := ask(study, 2):
        for trial in trials:
            study.tell(trial, value(trial.number))
            numbers.append(trial.number)
    return numbers


def test_all_processes_together_run_the_trials(join: Joins) -> None:
    one, other = join(), join()
    first, second = ask(one, 2), ask(other, 5)
    assert [trial.number for trial in first] == [0, 1] and [trial.number for trial in second] == [2, 3]
    assert len({trial.params["x"] for trial in (*first, *second)}) == 4, "the processes do not draw the same"
    for trial in (*first, *second):
        one.tell(trial, 0.5)
    assert one.ask(1) == other.ask(1) == join().ask(1) == []
    assert [trial.number for trial in ask(join(n_trials=5), 9)] == [4]


def test_the_slower_of_two_gives_its_trial_back(join: Joins) -> None:
    one, other = join(n_trials=1), join(n_trials=1)
    slot = other._free_slot()
    (trial,) = ask(one, 1)
    other.study.enqueue_trial({}, user_attrs={"slot": slot, "retry_of": None})  # it had not seen the other's yet
    assert slot == 0 and other._take(0) is None
    assert [kept.state.name for kept in one.study.trials] == ["RUNNING", "FAIL"]
    one.tell(trial, 1.0)
    assert one.ask(1) == join(n_trials=1).ask(1) == []


def test_who_finds_the_queue_empty_tries_again(join: Joins, monkeypatch: pytest.MonkeyPatch) -> None:
    one = join(n_trials=1)
    monkeypatch.setattr(one.study, "enqueue_trial", lambda *_, **__: monkeypatch.undo())  # another has taken it at once
    ((trial, _),) = one.ask(1)
    assert (trial.number, trial.user_attrs["slot"]) == (1, 0)
    assert [kept.state.name for kept in one.study.trials] == ["FAIL", "RUNNING"]


def test_the_values_of_dead_trials_are_run_again_and_once(join: Joins, database: Path) -> None:
    lost = drawn(join(), 2)
    one, other = join(), join()
    kill(database)
    ((first, again),) = one.ask(1)
    ((second, too),) = other.ask(1)
    assert [*again, *too] == lost
    one.tell(first, 0.1)
    other.tell(second, 0.2)
    assert run(one) == [4, 5]
    assert [trial.state.name for trial in one.study.trials] == ["FAIL"] * 2 + ["COMPLETE"] * 4


def test_a_dead_trial_that_two_have_queued_again_is_run_once(join: Joins, database: Path) -> None:
    ask(join(), 1)
    one = join()
    kill(database)
    one._close_dead()
    for _ in range(2):
        one.study.enqueue_trial({"x": 0.5}, user_attrs={"slot": 0, "retry_of": 0})
    assert [(trial.number, trial.user_attrs["slot"]) for trial in ask(one, 2)] == [(1, 0), (3, 1)]
    assert [trial.state.name for trial in one.study.trials] == ["FAIL", "RUNNING", "FAIL", "RUNNING"]


@pytest.mark.slow
def test_a_living_trial_is_nobody_elses(join: Joins, database: Path) -> None:
    one = join(n_trials=2)
    (trial,) = ask(one, 1)
    kill(database)
    with one.alive([trial]):
        time.sleep(1.5)
        assert run(join(n_trials=2)) == [1]
        assert one.running() == 1
    one.tell(trial, 1.0)
    assert run(join(n_trials=2)) == []


def test_a_trial_that_was_taken_for_dead_is_not_heard(join: Joins, database: Path) -> None:
    slept = join(n_trials=1)
    ((trial, values),) = slept.ask(1)
    kill(database)
    ((again, same),) = join(n_trials=1).ask(1)
    slept.tell(trial, 0.9, None, {"acc": 0.9})
    assert same == values
    slept.tell(again, 0.9, None, {"acc": 0.9})
    assert [(kept.state.name, kept.value) for kept in slept.study.trials] == [("FAIL", None), ("COMPLETE", 0.9)]
    assert slept.study.trials[1].user_attrs["metrics"] == {"acc": 0.9}


def test_failed_trials_count_until_the_next_start_and_are_run_again_after_all_others(join: Joins) -> None:
    one = join(n_trials=2)
    (failed, values), (good, _) = one.ask(2)
    one.tell(failed, None, "diverged")
    one.tell(good, 0.5)
    assert one.ask(1) == []
    other = join(n_trials=3)
    (new, _), (again, same) = other.ask(5)
    assert (new.user_attrs["slot"], again.user_attrs["slot"], same) == (2, 0, values)
    other.tell(new, 0.6)
    other.tell(again, None, "diverged")
    assert other.ask(1) == []
    ((again, same),) = join(n_trials=3).ask(5)
    one.tell(again, 0.7)
    assert same == values and join(n_trials=3).ask(1) == []


def test_draws_depend_on_seed_and_number_alone_while_they_are_random(join: Joins) -> None:
    first = drawn(join(name="a"), 4)
    assert first == [*drawn(join(name="b"), 2), *drawn(join(name="b"), 2)] and len(set(first)) == 4
    assert drawn(join(name="c", seed=2), 4) != first


@pytest.mark.parametrize(("direction", "best"), [("maximize", 1), ("minimize", 0)])
def test_the_best_is_the_first_of_equals(direction: str, best: int, join: Joins) -> None:
    study = join(direction=direction)
    assert study.best() is None
    run(study, value=[0.25, 0.75, 0.75, 0.25].__getitem__)
    found = study.best()
    assert found is not None and found.number == best


def test_another_search_under_the_same_name_is_refused(join: Joins) -> None:
    join()
    with pytest.raises(UserError, match=r"^hydra.sweeper.study_name=study: belongs to another search \(acc over x\)"):
        join(search="acc over y")


@pytest.mark.parametrize("url", ["nosuch://x", "sqlite:////nowhere/at/all/search.db", "postgresql+nodriver://x/y"])
@pytest.mark.slow
def test_a_database_that_cannot_be_opened_is_one_line(url: str) -> None:
    with pytest.raises(UserError, match=rf"^hydra.sweeper.storage={re.escape(url)}: cannot be opened \(.*\)$"):
        SharedStudy("a", "b", SPACE, search_settings(url))

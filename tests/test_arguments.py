"""The command line before Hydra reads it."""

import pytest

from hnet_cl.arguments import flags_last, is_set, spread_seeds
from hnet_cl.errors import UserError


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["a=1", "fresh=true"], True),
        (["++fresh=True"], True),
        (["fresh=true", "fresh=false"], False),
        (["refresh=true", "fresh_=true", "fresh"], False),
        ([], False),
    ],
)
def test_what_is_set(typed: list[str], meant: bool) -> None:
    assert is_set("fresh", typed) == meant


def test_flags_of_a_sweep_go_last() -> None:
    assert flags_last(["a=1", "-m", "b=2"]) == ["a=1", "b=2", "-m"]
    assert flags_last(["--multirun", "b=2"]) == ["b=2", "--multirun"]
    assert flags_last(["b=2"]) == ["b=2"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["seeds=3"], ["seed=1,2,3", "hydra/launcher=one_process", "-m"]),
        (["a=b", "seeds=2", "++seed=7"], ["a=b", "seed=7,8", "hydra/launcher=one_process", "-m"]),
        (["seeds=1", "hydra/launcher=local"], ["seed=1", "hydra/launcher=local", "-m"]),
        (["seeds=1", "--config-dir", "x"], ["seed=1", "hydra/launcher=one_process", "--config-dir", "x", "-m"]),
        (["seeds=3", "--cfg", "job"], ["seed=1", "--cfg", "job"]),
        (["seeds=3", "seed=5", "--cfg=job"], ["seed=5", "--cfg=job"]),
        (
            ["method=a,b", "seeds=2", "--multirun"],
            ["method=a,b", "seed=1,2", "hydra/launcher=one_process", "--multirun"],
        ),
        (["seed=4", "a=seeds=2"], ["seed=4", "a=seeds=2"]),
    ],
)
def test_seeds_are_a_sweep_in_one_process(typed: list[str], meant: list[str]) -> None:
    assert spread_seeds(typed) == meant


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["seeds=0"], "seeds=0: give the number of seeds to run, as seeds=10"),
        (["seeds=1,2"], "seeds=1,2: give the number of seeds to run, as seeds=10"),
        (["seeds=3", "seed=1,2"], "seeds=3 with seed=1,2: give the first seed alone, as seed=1"),
        (
            ["seeds=3", "hydra/sweeper=optuna"],
            "seeds=3 with hydra/sweeper=optuna: a search would choose among the seeds; give one, as seed=1",
        ),
    ],
)
def test_what_is_no_number_of_seeds(typed: list[str], line: str) -> None:
    with pytest.raises(UserError) as error:
        spread_seeds(typed)
    assert str(error.value) == line

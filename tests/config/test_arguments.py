"""The command line before Hydra reads it."""

import pytest

from hnet_cl.config.arguments import flags_last, is_set, spread_seeds
from hnet_cl.core.errors import UserError


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


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["a=1", "-m", "b=2"], ["a=1", "b=2", "--multirun"]),
        (["--multi", "b=2"], ["b=2", "--multirun"]),
        (["b=2"], ["b=2"]),
        (["a=1", "--config-dir", "x y", "b=2"], ["a=1", "b=2", "--config-dir=x y"]),
        (["-cd", "x", "-c", "job", "a=1", "--resolve"], ["a=1", "--cfg=job", "--resolve", "--config-dir=x"]),
        (["a=1", "--info"], ["a=1", "--info=all"]),
    ],
)
def test_flags_go_last(typed: list[str], meant: list[str]) -> None:
    assert flags_last(typed) == meant


def test_the_folder_of_a_flag_may_be_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/the/home")
    assert flags_last(["--config-dir=~/conf"]) == ["--config-dir=/the/home/conf"]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["--nope", "a=1"], "--nope: no such flag"),
        (["--config-dri", "x"], "--config-dri: no such flag; did you mean --config-dir?"),
        (["--seed=3"], "--seed: no such flag; keys have no dashes: seed=VALUE"),
        (["-x"], "-x: no such flag"),
        (["--cfg", "jobs"], "--cfg/-c: invalid choice: 'jobs' (choose from 'job', 'hydra', 'all')"),
        (["--multirun=x"], "--multirun/-m: ignored explicit argument 'x'"),
        (["a=1", "--config-dir"], "--config-dir/-cd: expected one argument"),
    ],
)
def test_wrong_flags_are_one_line(typed: list[str], line: str) -> None:
    with pytest.raises(UserError) as error:
        flags_last(typed)
    assert str(error.value).startswith(line) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["seeds=3"], ["seed=1,2,3", "hydra/launcher=one_process", "--multirun"]),
        (["a=b", "seeds=2", "++seed=7"], ["a=b", "seed=7,8", "hydra/launcher=one_process", "--multirun"]),
        (["seeds=1", "hydra/launcher=local"], ["seed=1", "hydra/launcher=local", "--multirun"]),
        (["seeds=1", "--config-dir=x"], ["seed=1", "hydra/launcher=one_process", "--config-dir=x", "--multirun"]),
        (["seeds=3", "--cfg=job"], ["seed=1", "--cfg=job"]),
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
        (["seeds=1,2"], "seeds=1,2: give the number of seeds to run, as seeds=10; single ones are seed=1,2 -m"),
        (["seeds=x"], "seeds=x: give the number of seeds to run, as seeds=10"),
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

"""Search spaces from what is typed."""

from typing import Any

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hnet_cl.core.errors import UserError
from hnet_cl.sweeps.space import search_space, suggest


def space(*overrides: str) -> dict[str, Any]:
    return search_space(OverridesParser.create().parse_overrides(list(overrides)))


@pytest.mark.parametrize(
    ("value", "distribution"),
    [
        ("interval(0.1, 2)", FloatDistribution(0.1, 2.0)),
        ("interval(1, 5)", FloatDistribution(1.0, 5.0)),
        ("tag(log, interval(0.001, 1))", FloatDistribution(0.001, 1.0, log=True)),
        ("int(interval(1, 5))", IntDistribution(1, 5)),
        ("tag(log, int(interval(1, 64)))", IntDistribution(1, 64, log=True)),
        ("range(1, 10, 2)", IntDistribution(1, 9, step=2)),
        ("range(10, 0, -3)", IntDistribution(1, 10, step=3)),
        ("range(0, 1, 0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
        ("hnet,ewc", CategoricalDistribution(("hnet", "ewc"))),
        ("choice([10,10],[20],'a b',true)", CategoricalDistribution(("[10,10]", "[20]", "a\\ b", "True"))),
    ],
)
def test_each_kind(value: str, distribution: Any) -> None:
    assert space("seed=3", f"+key={value}") == {"+key": distribution}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lr=1e-3", r"hydra/sweeper=optuna: nothing to search; give an interval or choices, as 'method\.strength="),
        ("lr=interval(2, 1)", r"lr=interval\(2, 1\): cannot be searched \("),
        ("lr=tag(log, interval(0, 1))", r"lr=tag\(log, interval\(0, 1\)\): cannot be searched \("),
        ("lr=range(3, 3)", r"lr=range\(3, 3\): cannot be searched \("),
    ],
)
def test_what_cannot_be_searched_is_said(override: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        space(override)


def test_draws_are_overrides() -> None:
    kinds = space("a=interval(0,1)", "b=range(1,10,2)", "c=choice([1],x)", "d=int(interval(7,7))")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [suggest(study.ask(), kinds) for _ in range(20)]
    values = {
        key: {override.partition("=")[2] for draws in drawn for override in draws if override[0] == key}
        for key in kinds
    }
    assert values["b"] <= {"1", "3", "5", "7", "9"} and values["c"] == {"[1]", "x"} and values["d"] == {"7"}
    assert len(values["a"]) == 20 and all(0 <= float(value) <= 1 for value in values["a"])

"""What a run says of its regulariser before it trains."""

from typing import Any

import pytest
from builders import BLOCKS, EXPLICIT, FAST, GENERATED, HNET, blobs, learner

from hnet_cl.methods.parts import protected

LINE = (
    "With 2 old tasks the exact regulariser takes 1.9 times the operations that generate the weights; "
    "method.{}regularizer.sampled_tasks=1 draws 1 of them at each step."
)


def said(method: str, **changes: Any) -> Any:
    made = learner(method, blobs(num_tasks=3), **changes)
    made.settings.place("method")
    return made.choices()


@pytest.fixture
def noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protected, "UNNOTICED", 0)


@pytest.mark.usefixtures("noticed")
def test_that_it_costs_more_than_generation() -> None:
    """Two old tasks at 16 K 7^2 operations each, beside 6 K 20 7."""
    assert said("hnet") == [LINE.format("")]
    assert said("hnet_r") == [LINE.format("generator.")]


@pytest.mark.usefixtures("noticed")
@pytest.mark.parametrize(
    "changes",
    [
        {"regularizer": FAST | {"sampled_tasks": 1}},
        {"regularizer": BLOCKS},
        {"regularizer": EXPLICIT},
        {"strength": 0.0},
        {"hypernet": HNET["hypernet"] | {"hidden": []}},
        {"hypernet": HNET["hypernet"] | {"chunk_size": 40}},
    ],
)
def test_nothing_where_it_does_not(changes: dict[str, Any]) -> None:
    assert said("hnet", **changes) == said("hnet_r", generator=GENERATED | changes) == []


def test_nothing_where_nobody_would_notice() -> None:
    assert said("hnet") == []

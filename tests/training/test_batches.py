"""Batches: each example once per sweep, and sweeps without gaps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import stream
from hnet_cl.training.batches import BatchStream


def draw(size: int, batch_size: int, batches: int, seed: int = 1) -> list[list[int]]:
    order = BatchStream(size, batch_size, stream(seed))
    return [order.next().tolist() for _ in range(batches)]


@given(st.integers(1, 20), st.integers(1, 30), st.integers(1, 10))
def test_every_sweep_holds_every_index_once(size: int, batch_size: int, batches: int) -> None:
    drawn = draw(size, batch_size, batches)
    assert all(len(batch) == batch_size for batch in drawn)
    order = [index for batch in drawn for index in batch]
    for start in range(0, len(order) - size + 1, size):
        assert sorted(order[start : start + size]) == list(range(size))
    rest = order[len(order) // size * size :]
    assert len(set(rest)) == len(rest)


def test_sweeps_are_shuffled_anew_and_batches_straddle_them() -> None:
    drawn = draw(size=10, batch_size=4, batches=5)
    order = [index for batch in drawn for index in batch]
    assert order[:10] != list(range(10)) and order[:10] != order[10:]
    assert drawn[2] == [*order[8:10], *order[10:12]]


@pytest.mark.parametrize("other", [1, 2])
def test_the_order_is_its_generators_own(other: int) -> None:
    first = draw(50, 8, 20)
    torch.rand(3)
    assert (draw(50, 8, 20, seed=other) == first) == (other == 1)


@pytest.mark.parametrize("size", [0, -1])
def test_nothing_can_be_drawn_from_nothing(size: int) -> None:
    with pytest.raises(UserError, match=rf"^{size} examples to learn from; expected at least one$"):
        draw(size, 8, 1)

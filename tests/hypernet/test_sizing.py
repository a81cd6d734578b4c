"""The chunk size that a compression ratio chooses."""

from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hnet_cl.hypernet import (
    GramRegularizer,
    Hypernetwork,
    TargetNetwork,
    chunk_size_for,
    operations_of_generation,
    operations_per_old_task,
)
from hnet_cl.hypernet.sizing import num_parameters

SIZES = st.fixed_dictionaries(
    {
        "task_embedding": st.integers(1, 12),
        "chunk_embedding": st.integers(0, 12),
        "hidden": st.lists(st.integers(1, 15), max_size=2),
    }
)


def made(total: int, num_tasks: int, chunk_size: int, **sizes: Any) -> Hypernetwork:
    """A hypernetwork for a network of that many weights."""
    target = nn.ParameterDict(OrderedDict(weights=nn.Parameter(torch.empty(total))))
    return Hypernetwork(TargetNetwork(target).layout, num_tasks, chunk_size=chunk_size, **sizes)


@given(st.integers(1, 300), st.integers(1, 4), st.integers(1, 320), SIZES)
def test_parameters_are_counted_as_they_are(total: int, num_tasks: int, chunk_size: int, sizes: dict[str, Any]) -> None:
    real = sum(p.numel() for p in made(total, num_tasks, chunk_size, **sizes).parameters())
    assert num_parameters(total, num_tasks, chunk_size=chunk_size, **sizes) == real


@given(st.floats(0.01, 20), st.integers(1, 2000), st.integers(1, 4), SIZES)
def test_it_is_the_fewest_chunks_that_are_few_enough(
    compression: float, total: int, num_tasks: int, sizes: dict[str, Any]
) -> None:
    numbers = {k: num_parameters(total, num_tasks, chunk_size=ceil(total / k), **sizes) for k in range(1, total + 1)}
    few_enough = [k for k, number in numbers.items() if number <= compression * total]
    found = chunk_size_for(compression, total, num_tasks, **sizes)
    if few_enough:
        # beyond where the sum is least it is smaller by rounding alone, and nothing is looked for there
        assert found == ceil(total / few_enough[0]) or numbers[ceil(total / found)] > compression * total
    else:
        least = min(numbers.values())
        assert numbers[ceil(total / found)] <= least + 2 * (sizes["chunk_embedding"] + 16)


@pytest.mark.parametrize(
    ("compression", "chunk_size"),
    [
        (1.0, 3319),  # 27 chunks: 1595 + 26 * 3319 + 27 * 8 = 88,105 of 89,610; 26 chunks: 91,425
        (10.0, 29870),  # 3 chunks: 778,239 of 896,100; 2 chunks: 1,166,541
    ],
)
def test_by_hand(compression: float, chunk_size: int) -> None:
    """An MLP 784-100-100-10 and the official code's hypernetwork for permuted MNIST."""
    total = 785 * 100 + 101 * 100 + 101 * 10
    found = chunk_size_for(compression, total, 5, task_embedding=24, chunk_embedding=8, hidden=[25, 25])
    chunks = ceil(total / found)
    fixed = 33 * 25 + 26 * 25 + 5 * 24
    assert fixed + 26 * found + 8 * chunks <= compression * total
    assert fixed + 26 * ceil(total / (chunks - 1)) + 8 * (chunks - 1) > compression * total
    assert found == chunk_size


def test_large_networks_take_no_time() -> None:
    assert chunk_size_for(0.01, 10**9, 10, task_embedding=32, chunk_embedding=32, hidden=[100]) == 95621


def operations(run: Callable[[], None]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def wide(num_tasks: int, hidden: list[int]) -> Hypernetwork:
    """200 chunks of 30 weights, all whole."""
    return made(6000, num_tasks, 30, task_embedding=4, chunk_embedding=4, hidden=hidden)


@pytest.mark.parametrize("hidden", [[20], []])
def test_operations_are_those_that_are_counted(hidden: list[int]) -> None:
    few, many = (wide(number, hidden) for number in (1, 21))
    once, again = (GramRegularizer(net, range(number)) for net, number in ((few, 1), (many, 21)))
    grown = operations(lambda: again(many.theta).backward()) - operations(lambda: once(few.theta).backward())
    expected = 16 * 200 * 21**2 if hidden else 0
    assert operations_per_old_task(many) == expected
    assert grown / 20 == pytest.approx(expected, rel=0.01, abs=1)
    generated = operations(lambda: few(0).sum().backward())
    assert operations_of_generation(few) == 6 * 200 * 30 * (21 if hidden else 9)
    trunk = 6 * 200 * 4 * 20 if hidden else 0
    assert generated == pytest.approx(operations_of_generation(few) + trunk, rel=0.01)

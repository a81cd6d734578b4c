"""The replay buffer: what it keeps within its budget, and that it is a fair sample."""

from typing import Any

import pytest
import torch
from builders import blobs
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import stream
from hnet_cl.methods.parts.buffer import BufferSettings, ReplayBuffer, example_bytes, shares

TASKS = blobs(num_tasks=3, train_per_class=30).tasks  # 60 examples each, of two classes
NO_BUDGET: dict[str, Any] = {"examples": None, "examples_per_class": None, "bytes": None, "balance": "classes"}


def settings(**changes: Any) -> BufferSettings:
    return BufferSettings(**(NO_BUDGET | changes))


def uneven(*sizes: int) -> Task:
    """A task with so many examples of each class, whose images are their rows."""
    labels = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    split = Split(torch.arange(len(labels)).float()[:, None], labels, torch.clone)
    return Task(0, "uneven", split, split, len(sizes))


def counts(buffer: ReplayBuffer, tasks: Any) -> list[list[int]]:
    """The stored examples of each class of each task."""
    stored = zip(tasks, buffer.rows, strict=True)
    return [task.train.labels[rows].bincount(minlength=task.num_classes).tolist() for task, rows in stored]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 30), st.integers(0, 200))
def test_shares_are_equal_as_far_as_groups_are_large_enough(sizes: list[int], another: int, budget: int) -> None:
    chosen = shares(sizes, budget)
    assert sum(chosen) == min(budget, sum(sizes))
    short = [number for number, size in zip(chosen, sizes, strict=True) if number < size]
    assert not short or max(chosen) <= min(short) + 1
    more = shares([*sizes, another], budget)
    assert all(new <= old for new, old in zip(more, chosen, strict=False)), "who has left never returns"


def test_budgets() -> None:
    assert counts(ReplayBuffer(settings(examples_per_class=7), TASKS, 1), TASKS) == [[7, 7]] * 3
    assert counts(ReplayBuffer(settings(examples=20), TASKS, 1), TASKS) == [[3, 3], [3, 3], [4, 4]]
    assert example_bytes(TASKS[0]) == 2 * 4 + 2  # two float32, and a byte each for label and task
    assert len(ReplayBuffer(settings(bytes=99), TASKS, 1)) == 9
    assert counts(ReplayBuffer(settings(examples=9), [uneven(2, 50)], 1), [uneven(2, 50)]) == [[2, 7]]
    assert len(ReplayBuffer(settings(examples=500, balance="none"), TASKS, 1)) == 180


@pytest.mark.parametrize("balance", ["classes", "none"])
def test_what_is_stored_is_a_prefix_of_what_was(balance: str) -> None:
    chosen = settings(examples=20, balance=balance)
    before, after = (ReplayBuffer(chosen, TASKS[:number], 1).rows for number in (2, 3))
    assert len(before[0]) + len(before[1]) == 20
    for old, new in zip(before, after, strict=False):
        assert set(new.tolist()) < set(old.tolist())
    again = ReplayBuffer(chosen, TASKS, 1).rows
    assert all(map(torch.equal, after, again)) and not torch.equal(ReplayBuffer(chosen, TASKS, 2).rows[0], after[0])


def test_every_example_is_as_likely_as_every_other() -> None:
    """Chi-squared with 39 degrees of freedom: beyond 72.1 in one of a thousand cases; the seeds are fixed."""
    task, seeds, kept = uneven(20, 20), 2000, 10
    hits = torch.zeros(40)
    for seed in range(seeds):
        hits[ReplayBuffer(settings(examples=kept, balance="none"), [task], seed).rows[0]] += 1
    expected, share = seeds * kept / 40, kept / 40
    assert hits.sum() == seeds * kept
    assert ((hits - expected).square() / expected).sum() / (1 - share) * 39 / 40 < 72.1


def test_batches_are_stored_examples_of_all_tasks() -> None:
    buffer = ReplayBuffer(settings(examples_per_class=2), TASKS, 1)
    whole = [(task.train.images[rows], task.train.labels[rows]) for task, rows in zip(TASKS, buffer.rows, strict=True)]
    images, labels = torch.cat([part[0] for part in whole]), torch.cat([part[1] for part in whole])
    rng, seen = stream(1), set()
    for _ in range(20):
        batch = buffer.draw(5, rng)
        assert batch.places.unique().tolist() == batch.places.tolist()
        torch.testing.assert_close((batch.inputs, batch.labels), (images[batch.places], labels[batch.places]))
        assert torch.equal(batch.tasks, batch.places // 4)
        seen |= set(batch.places.tolist())
    assert seen == set(range(12)) and len(buffer.draw(100, rng).inputs) == 12


def test_images_are_stored_as_they_are_and_augmented_when_drawn() -> None:
    def noise(images: Tensor, rng: torch.Generator) -> Tensor:
        return images + torch.rand(len(images), 1, generator=rng)

    split = Split(torch.zeros(6, 1), torch.tensor([0, 1] * 3), torch.clone, augment=noise)
    buffer = ReplayBuffer(settings(examples=4), [Task(0, "zeros", split, split, 2)], 1)
    rng = stream(1)
    first, second = buffer.draw(4, rng).inputs, buffer.draw(4, rng).inputs
    assert first.gt(0).all() and second.gt(0).all() and not torch.equal(first, second)


@pytest.mark.parametrize("budget", [{}, {"examples": 3, "bytes": 4}])
def test_exactly_one_budget(budget: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="give exactly one of examples, examples_per_class and bytes"):
        settings(**budget)


def test_too_few_bytes() -> None:
    with pytest.raises(UserError, match=r"^bytes=9: too little for one example; give more"):
        ReplayBuffer(settings(bytes=9), TASKS, 1)

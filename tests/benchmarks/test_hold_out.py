"""Validation data: a part of the training data, never of the test data, and the same for every method."""

import pytest
import torch
from builders import blobs

from hnet_cl.benchmarks.base import Split, hold_out
from hnet_cl.core.errors import UserError


def test_training_data_are_parted_and_test_data_untouched() -> None:
    tasks = blobs(train_per_class=50).tasks
    for task, held in zip(tasks, hold_out(tasks, 0.2, seed=1), strict=True):
        assert (len(held.train), len(held.test)) == (80, 20)
        both = [split.batch(slice(None)) for split in (held.train, held.test)]
        inputs, labels = (torch.cat([pair[i] for pair in both]) for i in (0, 1))
        order = torch.cat([held.train.rows, held.test.rows])  # type: ignore[list-item]
        assert order.sort().values.tolist() == list(range(100))
        assert torch.equal(inputs, task.train.images[order]) and torch.equal(labels, task.train.labels[order])
        assert held.train.images is task.train.images, "images are shared, not copied"


def test_which_ones_depends_on_the_seed_alone() -> None:
    tasks = blobs().tasks
    first, again, other = (hold_out(tasks, 0.5, seed)[1].test.labels.tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_nothing_left_is_an_error(share: float) -> None:
    with pytest.raises(UserError, match=rf"^training\.validation={share}: holds out \d+ of .* 60 training examples"):
        hold_out(blobs().tasks, share, 1)


def test_a_part_of_a_part() -> None:
    split = Split(torch.arange(10.0), torch.arange(10), torch.clone)
    part = split.part(torch.tensor([8, 3, 5])).part(torch.tensor([2, 0]))
    inputs, labels = part.batch(slice(None))
    assert inputs.tolist() == [5.0, 8.0] and labels.tolist() == [5, 8] and len(part) == 2

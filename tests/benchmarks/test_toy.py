"""The toy benchmark: reproducible, easy alone, and in conflict from task to task."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hnet_cl.benchmarks.base import Task
from hnet_cl.benchmarks.toy import GaussianBlobs

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "name": "toy",
    "num_tasks": 3,
    "num_classes": 2,
    "train_per_class": 200,
    "test_per_class": 100,
    "spread": 0.15,
    "seed": 42,
}


def make(**changes: Any) -> GaussianBlobs:
    return GaussianBlobs(GaussianBlobs.Settings(**(SETTINGS | changes)), None, CPU)


def train(task: Task) -> torch.nn.Module:
    """A network of two hidden layers of ten units after 200 steps."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Linear(2, 10), torch.nn.ReLU(), torch.nn.Linear(10, 10), torch.nn.ReLU()
        network = torch.nn.Sequential(*layers, torch.nn.Linear(10, task.num_classes))
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(200):
            inputs, labels = task.train.batch(torch.randint(len(task.train), (32,)))
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(inputs), labels).backward()
            optimizer.step()
    return network


def accuracy(network: torch.nn.Module, task: Task) -> float:
    inputs, labels = task.test.batch(slice(0, len(task.test)))
    return (network(inputs).argmax(1) == labels).float().mean().item()


def test_small_network_learns_a_task_and_not_the_others() -> None:
    benchmark = make()
    networks = [train(task) for task in benchmark.tasks]
    matrix = [[accuracy(network, task) for task in benchmark.tasks] for network in networks]
    assert all(matrix[task][task] > 0.95 for task in range(3))
    assert min(min(row) for row in matrix) < 0.6


def test_four_classes_are_learned_too() -> None:
    task = make(num_classes=4).tasks[0]
    assert accuracy(train(task), task) > 0.95


@settings(max_examples=25)
@given(
    num_tasks=st.integers(1, 4),
    num_classes=st.integers(2, 6),
    train_per_class=st.integers(1, 5),
    test_per_class=st.integers(1, 5),
)
def test_sizes_and_labels(num_tasks: int, num_classes: int, train_per_class: int, test_per_class: int) -> None:
    benchmark = make(
        num_tasks=num_tasks,
        num_classes=num_classes,
        train_per_class=train_per_class,
        test_per_class=test_per_class,
    )
    assert benchmark.in_shape == (2,)
    assert benchmark.class_counts == (num_classes,) * num_tasks
    for task in benchmark.tasks:
        assert task.train.labels.bincount().tolist() == [train_per_class] * num_classes
        assert task.test.labels.bincount().tolist() == [test_per_class] * num_classes
        inputs, labels = task.test.batch(slice(0, None))
        assert inputs.shape == (num_classes * test_per_class, 2)
        assert (inputs.dtype, labels.dtype) == (torch.float32, torch.int64)


def test_points_lie_around_centres_with_the_given_spread() -> None:
    task = make(train_per_class=20_000, spread=0.05).tasks[0]
    for label in range(2):
        points = task.train.images[task.train.labels == label]
        assert points.std(0).tolist() == pytest.approx([0.05, 0.05], rel=0.05)
        assert points.mean(0).abs().max() <= 1.01


def test_tasks_follow_the_seed_and_not_the_number_of_tasks() -> None:
    some, more, other = make(), make(num_tasks=5), make(seed=43)
    for task in range(3):
        assert torch.equal(some.tasks[task].train.images, more.tasks[task].train.images)
        assert torch.equal(some.tasks[task].test.images, more.tasks[task].test.images)
    assert not torch.equal(some.tasks[0].train.images, other.tasks[0].train.images)
    assert not torch.equal(some.tasks[0].train.images, some.tasks[1].train.images)


def test_identity_follows_the_points() -> None:
    one, same, other = make().data, make().data, make(seed=43).data
    assert (one.name, one.source) == ("toy", "synthetic")
    assert one == same and one.checksum != other.checksum


@pytest.mark.parametrize(
    "change", [{"num_classes": 1}, {"train_per_class": 0}, {"spread": 0.0}, {"spread": float("inf")}]
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        GaussianBlobs.Settings(**(SETTINGS | change))

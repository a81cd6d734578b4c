"""Orthogonal weight modification by hand, and what it leaves to old inputs."""

from typing import Any

import pytest
import torch
from builders import RATE, TwoWeights, adam, blobs, learned, learner, sgd, slope, two_weights
from torch import nn

from hnet_cl.hypernet import copied
from hnet_cl.methods.owm import projector

BENCHMARK = TwoWeights()


def test_the_projector_is_that_of_recursive_least_squares() -> None:
    inputs, alpha = torch.randn(7, 4, dtype=torch.float64), 0.3
    found = projector(inputs.T @ inputs / 7, alpha)
    torch.testing.assert_close(found, torch.linalg.inv(torch.eye(4) + inputs.T @ inputs / 7 / alpha))
    recursive = torch.eye(4, dtype=torch.float64)
    for a in inputs:
        gain = recursive @ a
        recursive -= gain[:, None] * gain / (alpha * 7 + a @ gain)
    torch.testing.assert_close(found, recursive)


def test_the_projector_of_few_inputs_leaves_what_is_orthogonal_to_them() -> None:
    a, other = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([2.0, -1.0, 3.0])
    found = projector(a[:, None] * a, 1e-10)
    torch.testing.assert_close(found @ a, torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(found @ other, other)


@pytest.mark.parametrize("restricted", ["step", "gradient"])
def test_steps_of_gradient_descent_by_hand(restricted: str) -> None:
    alpha = 0.5
    made = learner("owm", BENCHMARK, "cl2", target=two_weights, optimizer=sgd, alpha=alpha, restricted=restricted)
    squares: list[float] = []
    for number, task in enumerate(BENCHMARK.tasks):
        made.begin_task(BENCHMARK.tasks[: number + 1])
        share = 1 / (1 + sum(squares) / len(squares) / alpha) if squares else 1.0
        for _ in range(2):
            w = made.network.weight.detach().clone()
            made.step(*task.train.batch(slice(None)))
            torch.testing.assert_close(made.network.weight.detach(), w - RATE * share * slope(w, task.train))
        made.end_task()
        squares.append(task.train.images.square().mean().item())
    torch.testing.assert_close(made.moments[0], torch.tensor([[sum(squares[:2]) / 2]]))  # none after the last task


def linear(num_outputs: int) -> nn.Module:
    """Outputs that are linear in the inputs."""
    return nn.Linear(2, num_outputs)


def changes(optimizer: Any, restricted: str) -> tuple[float, float]:
    """By how much a second task changes the outputs for inputs on a line, which the first task had, and beside it."""
    benchmark = blobs()
    old = torch.linspace(-1, 1, 60)[:, None] * torch.tensor([0.3, 0.9]) + torch.tensor([1.0, 0.0])
    benchmark.tasks[0].train.images.copy_(old)
    made = learner(
        "owm", benchmark, target=linear, optimizer=optimizer, alpha=1e-8, restricted=restricted, reset_optimizer=True
    )
    learned(made, benchmark, 1, 5)
    made.begin_task(benchmark.tasks[:2])
    before = copied(made.network)
    for _ in range(20):
        made.step(*benchmark.tasks[1].train.batch(slice(None)))
    beside = old + torch.tensor([1.0, 0.0])
    with torch.no_grad():
        return tuple((made.network(x) - before(x)).abs().max().item() for x in (old, beside))


@pytest.mark.parametrize(("optimizer", "restricted"), [(sgd, "step"), (sgd, "gradient"), (adam, "step")])
def test_outputs_for_old_inputs_stay(optimizer: Any, restricted: str) -> None:
    there, beside = changes(optimizer, restricted)
    assert there < 1e-5 and beside > 0.02


def test_adam_does_not_keep_to_a_restricted_gradient() -> None:
    assert changes(adam, "gradient")[0] > 0.02

"""A regularised step does what the formula says, with any optimiser, regulariser and loss."""

import copy
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from hnet_cl.hypernet import (
    BlockRegularizer,
    ExplicitRegularizer,
    GramRegularizer,
    Hypernetwork,
    Layout,
    OutputRegularizer,
    RegularizedTraining,
    Theta,
)

Make = Callable[[Iterable[Any]], optim.Optimizer]
OPTIMIZERS: Mapping[str, Make] = {
    "adam": partial(optim.Adam, lr=0.05, fused=True),
    "adamw": partial(optim.AdamW, lr=0.05, weight_decay=0.3),
    "sgd": partial(optim.SGD, lr=0.05, momentum=0.9),
}
STRENGTH = 0.5


class Own(OutputRegularizer):
    """The mean of absolute drifts, by nothing but what a subclass is given."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.before = [self.weights(self.hypernetwork.theta, old).detach() for old in range(len(self.embeddings))]

    def __call__(self, theta: Theta) -> Tensor:
        drifts = [(self.weights(theta, old) - before).abs().sum() for old, before in enumerate(self.before)]
        return torch.stack(drifts).mean()


REGULARIZERS = [GramRegularizer, ExplicitRegularizer, BlockRegularizer, Own]


def hypernetwork() -> Hypernetwork:
    layout = Layout({"w": torch.Size((20,))})
    torch.manual_seed(1)
    made = Hypernetwork(layout, 3, task_embedding=3, hidden=[6], activation="elu", chunk_size=7, chunk_embedding=2)
    return made.double()


def loss_of(made: Hypernetwork, task: int) -> Tensor:
    return (made(task) - torch.linspace(-1, 1, 20, dtype=torch.float64)).square().sum()


def by_hand(made: Hypernetwork, task: int, make: Make, lookahead: bool, regularizer: Any) -> Callable[[], Tensor]:
    """The step written down: the candidate is a copy of everything that makes the step."""
    held = [*made.theta.values(), made.task_embeddings[task]]
    optimizer = make(held)

    def step() -> Tensor:
        gradients = torch.autograd.grad(loss_of(made, task), held)
        there = copy.deepcopy(optimizer)
        copies = there.param_groups[0]["params"]
        for parameter, twin, gradient in zip(held, copies, gradients, strict=True):
            parameter.grad, twin.grad = gradient, gradient.clone()
        if lookahead:
            there.step()
        point = [twin.detach().requires_grad_() for twin in copies[:-1]]
        value: Tensor = regularizer(dict(zip(made.theta, point, strict=True)))
        for parameter, gradient in zip(held, torch.autograd.grad(value, point), strict=False):
            assert parameter.grad is not None
            parameter.grad += STRENGTH * gradient
        optimizer.step()
        return value.detach()

    return step


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("lookahead", [True, False])
@pytest.mark.parametrize("kind", REGULARIZERS)
def test_steps_are_those_written_down(make: Make, lookahead: bool, kind: type[OutputRegularizer]) -> None:
    ours, theirs = hypernetwork(), hypernetwork()
    step = RegularizedTraining(ours, 2, make, STRENGTH, lookahead=lookahead, regularizer=kind)
    expected = by_hand(theirs, 2, make, lookahead, kind(theirs, range(2)))
    for _ in range(4):
        value = step(loss_of(ours, 2))["regularizer"]
        torch.testing.assert_close(value, expected(), rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(list(ours.parameters()), list(theirs.parameters()), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("task", "strength"), [(0, 1.0), (2, 0.0)])
def test_without_old_tasks_or_strength_there_is_no_regulariser(task: int, strength: float) -> None:
    made = hypernetwork()
    step = RegularizedTraining(made, task, OPTIMIZERS["adam"], strength, regularizer=Own)
    assert step.regularizer is None and step.capturable
    before = loss_of(made, task).item()
    assert step(loss_of(made, task)) == {}
    assert loss_of(made, task).item() < before


def test_a_parameter_that_the_loss_does_not_reach_is_regularised() -> None:
    made = hypernetwork()
    step = RegularizedTraining(made, 1, OPTIMIZERS["sgd"], STRENGTH)
    with torch.no_grad():
        made.chunk_embeddings.add_(1.0)
    before = made.head.detach().clone()
    assert step(made.task_embeddings[1].square().sum())["regularizer"] > 0
    assert not torch.equal(made.head, before)


def test_optimisers_may_group_parameters_in_an_order_of_their_own() -> None:
    def grouped(parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
        last, *others = reversed(list(parameters))
        return optim.Adam([{"params": [last], "lr": 0.01}, {"params": others, "lr": 0.05}] if others else [last])

    ours, theirs = hypernetwork(), hypernetwork()
    fast, explicit = (
        RegularizedTraining(one, 2, grouped, STRENGTH, regularizer=kind)
        for one, kind in ((ours, GramRegularizer), (theirs, ExplicitRegularizer))
    )
    for _ in range(3):
        torch.testing.assert_close(fast(loss_of(ours, 2)), explicit(loss_of(theirs, 2)), rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(list(ours.parameters()), list(theirs.parameters()), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("kind", "captured"), [(kind, kind is not Own) for kind in REGULARIZERS])
def test_what_can_be_captured(kind: type[OutputRegularizer], captured: bool) -> None:
    assert RegularizedTraining(hypernetwork(), 1, OPTIMIZERS["adam"], 1.0, regularizer=kind).capturable is captured

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


def distance(made: Hypernetwork, embeddings: list[Tensor], before: list[Tensor]) -> Tensor:
    """R by the book, of old tasks with these embeddings, from the weights `before`."""
    now = [made.generate(made.features(embedding[None]))[0] for embedding in embeddings]
    return torch.stack([(one - other).square().sum() for one, other in zip(now, before, strict=True)]).mean()


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("kind", [GramRegularizer, ExplicitRegularizer])
@pytest.mark.parametrize("plastic", [False, True])
def test_separate_steps_are_two_steps_of_one_optimiser(make: Make, kind: Any, plastic: bool) -> None:
    ours, theirs = hypernetwork(), hypernetwork()
    ours.plastic = plastic
    step = RegularizedTraining(ours, 2, make, STRENGTH, lookahead=False, regularizer=kind, update="separate")
    old = [theirs.task_embeddings[task] for task in range(2)]
    before = [theirs(task).detach() for task in range(2)]
    shared = [*theirs.theta.values(), *(old if plastic else [])]
    both = make(shared), make([theirs.task_embeddings[2]])
    for _ in range(3):
        theirs.zero_grad()
        loss_of(theirs, 2).backward()
        for optimizer in both:
            optimizer.step()
        theirs.zero_grad()
        expected = distance(theirs, old, before)
        (STRENGTH * expected).backward()
        both[0].step()
        found = step(loss_of(ours, 2))["regularizer"]
        torch.testing.assert_close(found, expected.detach(), rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(list(ours.parameters()), list(theirs.parameters()), rtol=1e-8, atol=1e-10)
    assert torch.equal(ours.task_embeddings[0], hypernetwork().task_embeddings[0]) is not plastic


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("kind", REGULARIZERS[:3])
@pytest.mark.parametrize("lookahead", [False, True])
def test_plastic_embeddings_follow_the_regulariser_alone(make: Make, kind: Any, lookahead: bool) -> None:
    ours, theirs = hypernetwork(), hypernetwork()
    ours.plastic = True
    step = RegularizedTraining(ours, 2, make, STRENGTH, lookahead=lookahead, regularizer=kind)
    old = [theirs.task_embeddings[task] for task in range(2)]
    before = [theirs(task).detach() for task in range(2)]
    theta, shared = [*theirs.theta.values()], [*theirs.theta.values(), *old]
    both = make(shared), make([theirs.task_embeddings[2]])
    for _ in range(4):
        theirs.zero_grad()
        loss_of(theirs, 2).backward()
        kept, gradients = [one.detach().clone() for one in shared], [one.grad for one in theta]
        if lookahead:
            there = copy.deepcopy(both[0])
            for one, twin in zip(shared, there.param_groups[0]["params"], strict=True):
                twin.grad = None if one.grad is None else one.grad.clone()
            there.step()
            with torch.no_grad():
                for one, twin in zip(shared, there.param_groups[0]["params"], strict=True):
                    one.copy_(twin)
        pulled = torch.autograd.grad(STRENGTH * distance(theirs, old, before), shared)
        with torch.no_grad():
            for one, value in zip(shared, kept, strict=True):
                one.copy_(value)
        own = [*gradients, None, None]
        for one, gradient, more in zip(shared, own, pulled, strict=True):
            one.grad = more if gradient is None else gradient + more
        for optimizer in both:
            optimizer.step()
        step(loss_of(ours, 2))
    torch.testing.assert_close(list(ours.parameters()), list(theirs.parameters()), rtol=1e-8, atol=1e-10)
    assert not torch.equal(ours.task_embeddings[0], hypernetwork().task_embeddings[0])


def test_separate_steps_have_nothing_to_look_ahead_to() -> None:
    with pytest.raises(ValueError, match="update=separate with lookahead=True"):
        RegularizedTraining(hypernetwork(), 1, OPTIMIZERS["adam"], 1.0, update="separate")

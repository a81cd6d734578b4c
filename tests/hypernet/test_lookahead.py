"""The candidate step is the optimiser's own, bit for bit, and leaves no trace."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from hnet_cl.hypernet import Drift, Lookahead
from hnet_cl.training.clipping import clipping

Make = Callable[[Iterable[Any]], optim.Optimizer]

OPTIMIZERS: dict[str, Make] = {
    "adam": lambda p: optim.Adam(p, lr=0.1, fused=False),
    "adam fused": lambda p: optim.Adam(p, lr=0.1, fused=True),
    "adam amsgrad": lambda p: optim.Adam(p, lr=0.1, betas=(0.5, 0.6), amsgrad=True),
    "adam foreach": lambda p: optim.Adam(p, lr=0.1, foreach=True, weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.3),
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "sgd nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.5, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "nadam": lambda p: optim.NAdam(p, lr=0.1),
    "adamw fused": lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.3, fused=True),
    "sgd fused momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adam clipped": lambda p: clipping(optim.Adam, 0.5)(p, lr=0.1, fused=True),
    "adamw clipped": lambda p: clipping(optim.AdamW, 0.5)(p, lr=0.1, weight_decay=0.3),
    "sgd nesterov clipped": lambda p: clipping(optim.SGD, 0.5)(p, lr=0.1, momentum=0.9, nesterov=True),
    "rmsprop clipped": lambda p: clipping(optim.RMSprop, 0.5)(p, lr=0.1, momentum=0.5),
}

every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.randn(shape)) for shape in ((3, 4), (5,), ())]


def draw_gradients(parameters: list[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)


def copies(lookahead: Lookahead) -> list[Tensor]:
    """Copies of the candidate step's tensors, in the optimiser's order."""
    return [tensor.detach().clone() for tensor in lookahead.candidate().values()]


def snapshot(optimizer: optim.Optimizer) -> Any:
    """Everything an optimiser knows: state with values, options, parameters and gradients."""
    held = [p for group in optimizer.param_groups for p in group["params"]]
    state = {i: values for i, values in optimizer.state_dict()["state"].items() if values}
    groups = optimizer.state_dict()["param_groups"]
    return copy.deepcopy((state, groups, [p.detach() for p in held], [p.grad for p in held]))


def same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


@every_optimizer
@pytest.mark.parametrize("steps_before", [0, 2])
def test_candidate_is_where_the_next_step_goes_and_touches_nothing(make: Make, steps_before: int) -> None:
    held = parameters()
    optimizer = make(held)
    for _ in range(steps_before):
        draw_gradients(held)
        optimizer.step()
    lookahead = Lookahead(optimizer)
    for step in range(5):
        draw_gradients(held)
        if step == 3:
            optimizer.param_groups[0]["lr"] = 0.03  # as a scheduler does
        before = snapshot(optimizer)
        for _ in range(2 - step % 2):  # asking twice changes nothing
            candidate = copies(lookahead)
        assert same(snapshot(optimizer), before)
        optimizer.step()
        assert not torch.equal(candidate[0], before[2][0])
        assert same(candidate, [p.detach() for p in held])


@every_optimizer
def test_training_with_lookahead_equals_training_without(make: Make) -> None:
    first, gradients = parameters(), [[torch.randn_like(p) for p in parameters()] for _ in range(4)]
    second = copy.deepcopy(first)
    for held, look in ((first, True), (second, False)):
        optimizer = make(held)
        lookahead = Lookahead(optimizer)
        for step in gradients:
            for parameter, gradient in zip(held, step, strict=True):
                parameter.grad = gradient.clone()
            if look:
                lookahead.candidate()
            optimizer.step()
    assert same([p.detach() for p in first], [p.detach() for p in second])


def test_groups_with_options_of_their_own() -> None:
    held = parameters()
    groups: list[dict[str, Any]] = [{"params": held[:1]}, {"params": held[1:], "lr": 0.5, "betas": (0.1, 0.2)}]
    optimizer = optim.Adam(groups, lr=0.01)
    lookahead = Lookahead(optimizer)
    for _ in range(3):
        draw_gradients(held)
        candidate = copies(lookahead)
        optimizer.step()
        assert same(candidate, [p.detach() for p in held])


def test_a_parameter_without_gradient_stays() -> None:
    held = parameters()
    optimizer = optim.Adam(held)
    lookahead = Lookahead(optimizer)
    for _ in range(2):
        draw_gradients(held)
        held[1].grad = None
        candidate = copies(lookahead)
        assert torch.equal(candidate[1], held[1])
        optimizer.step()
        assert same(candidate, [p.detach() for p in held])


def test_candidates_are_leaves_from_which_no_gradient_flows_to_the_parameters() -> None:
    held = parameters()
    optimizer = optim.Adam(held)
    draw_gradients(held)
    before = [p.grad.clone() for p in held if p.grad is not None]
    candidate = list(Lookahead(optimizer).candidate().values())
    assert all(tensor.is_leaf and tensor.requires_grad and tensor.grad is None for tensor in candidate)
    sum((tensor**2).sum() for tensor in candidate).backward()  # type: ignore[union-attr]
    torch.testing.assert_close([tensor.grad for tensor in candidate], [2 * tensor.detach() for tensor in candidate])
    assert same([p.grad for p in held], before)


@pytest.mark.parametrize("fused", [False, True])
def test_drifts_are_what_the_candidate_is_away_from_the_origin(fused: bool) -> None:
    held = parameters()
    optimizer = optim.Adam(held, lr=0.01, fused=fused)
    drift, origin = Drift(held[0]), held[0].detach().clone()
    lookahead = Lookahead(optimizer, {held[0]: drift})
    for _ in range(3):
        draw_gradients(held)
        candidate = lookahead.candidate()
        assert list(candidate) == held[1:]
        difference, others = drift.difference.clone(), [tensor.detach().clone() for tensor in candidate.values()]
        optimizer.step()
        torch.testing.assert_close(difference, held[0].detach() - origin, rtol=0, atol=1e-6)
        assert same(others, [p.detach() for p in held[1:]])
    assert torch.equal(drift.stacked, torch.cat([difference, origin]))


@every_optimizer
def test_drifts_for_any_optimizer(make: Make) -> None:
    held = [p for p in parameters() if p.dim()]
    optimizer = make(held)
    drifts = {p: Drift(p) for p in held}
    lookahead = Lookahead(optimizer, drifts)
    for _ in range(3):
        draw_gradients(held)
        assert lookahead.candidate() == {}
        found = [drift.difference.clone() for drift in drifts.values()]
        optimizer.step()
        moved = [p.detach() - drift.origin for p, drift in drifts.items()]
        torch.testing.assert_close(found, moved, rtol=0, atol=1e-6)


def test_a_drift_is_measured_from_where_it_was_made() -> None:
    parameter = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    drift = Drift(parameter)
    with torch.no_grad():
        parameter.add_(0.5)
    assert not drift.difference.any()
    drift.measure(parameter)
    assert drift.stacked.tolist() == [[0.5, 0.5], [0.5, 0.5], [1, 2], [3, 4]]

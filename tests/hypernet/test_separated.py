"""The sums of a linear hypernetwork's regulariser over tasks and chunks separate: same value, no pair ever made."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest
import torch
from builders import moved
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import hnet_cl.hypernet.gram as gram_module
import hnet_cl.hypernet.regularizer as regularizer_module
from hnet_cl.hypernet import (
    ExplicitRegularizer,
    GramRegularizer,
    Hypernetwork,
    Interval,
    Layout,
    OutputRegularizer,
    RegularizedTraining,
    Theta,
)
from hnet_cl.hypernet.pairs import EveryPair
from hnet_cl.hypernet.separated import SeparatedPairs


def linear(total: int, tasks: int, task: int = 3, code: int = 2, size: int | None = 7, seed: int = 0) -> Hypernetwork:
    torch.manual_seed(seed)
    layout = Layout({"w": torch.Size((total,))})
    made = Hypernetwork(layout, tasks, task_embedding=task, hidden=[], chunk_size=size, chunk_embedding=code)
    for parameter in made.parameters():  # biases too: none may stay at its initial zero
        nn.init.normal_(parameter, std=0.5)
    return made.double()


def added(regularizer: OutputRegularizer, theta: Theta, chosen: Tensor | None = None) -> list[Tensor]:
    """R and the gradients that a step adds, with the drift of the last layer in place of its value."""
    rest = dict(theta)
    for name, drift in regularizer.drifts.items():
        drift.measure(rest.pop(name))
    sums = {name: torch.zeros_like(tensor) for name, tensor in theta.items()}
    with ExitStack() as patched:
        for module in (gram_module, regularizer_module):
            patched.enter_context(patch.object(module, "draw_tasks", lambda *_: chosen))
        value = regularizer.add_gradients(rest, sums, 0.5)
    return [value, *sums.values()]


def assert_close(ours: Sequence[Tensor], theirs: Sequence[Tensor], tolerance: float) -> None:
    """Differences are at most `tolerance` times the largest entry of a tensor."""
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        if other.numel():
            assert (one - other).abs().max() <= tolerance * other.abs().max() + 1e-30


@pytest.mark.parametrize(("kept", "value"), [(None, 27.0), ([[(0, 4)], [(0, 3)]], 26.5)])
def test_a_case_worked_by_hand(kept: list[list[Interval]] | None, value: float) -> None:
    made = linear(4, 2, task=1, code=1, size=2)
    with torch.no_grad():
        made.task_embeddings[0].fill_(1)
        made.task_embeddings[1].fill_(3)
        made.chunk_embeddings.copy_(torch.tensor([[1.0], [-1.0]]))
        made.head.copy_(torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 0.0]]))
    regularizer = GramRegularizer(made, range(2), kept)
    theta = {name: p.detach().clone().requires_grad_() for name, p in made.theta.items()}
    with torch.no_grad():
        theta["chunk_embeddings"][0] += 1
        theta["head"][0, 0] += 1
        theta["head"][2, 1] += 1
    # Drifts of the blocks: task 0 (3, 2) and (1, 1), task 1 (5, 2) and (3, 1); the mask leaves out the last number.
    result = regularizer(theta)
    assert result.item() == pytest.approx(value, rel=1e-12)
    if kept is None:
        gradients = torch.autograd.grad(result, [theta["head"], theta["chunk_embeddings"]])
        assert gradients[0].tolist() == [[28, 12], [12, 6], [12, 6]]
        assert gradients[1].tolist() == [[20], [10]]


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    total, tasks = draw(st.integers(1, 90)), draw(st.integers(1, 6))
    interval = st.integers(0, total - 1).flatmap(lambda a: st.tuples(st.just(a), st.integers(a + 1, total)))
    intervals = st.lists(interval, min_size=1, max_size=3)
    return {
        "net": {
            "total": total,
            "task": draw(st.integers(1, 4)),
            "code": draw(st.integers(0, 4)),
            "size": draw(st.none() | st.integers(1, total + 5)),
            "seed": draw(st.integers(0, 10**6)),
        },
        "tasks": tasks,
        "kept": draw(st.none() | st.lists(intervals, min_size=tasks, max_size=tasks)),
        "chosen": draw(st.none() | st.lists(st.integers(0, tasks - 1), min_size=1, unique=True)),
    }


@given(cases())
@settings(max_examples=40, deadline=None)
def test_a_step_is_that_of_the_explicit_sum_and_of_the_sum_over_pairs(case: dict[str, Any]) -> None:
    made, old = linear(tasks=case["tasks"] + 1, **case["net"]), range(1, case["tasks"] + 1)
    chosen = None if case["chosen"] is None else torch.tensor(case["chosen"])
    fast, explicit = (kind(made, old, case["kept"]) for kind in (GramRegularizer, ExplicitRegularizer))
    with patch.object(gram_module, "SeparatedPairs", EveryPair):
        by_pairs = GramRegularizer(made, old, case["kept"])
    assert isinstance(fast.pairs, SeparatedPairs) and isinstance(by_pairs.pairs, EveryPair)
    theta = moved(made.theta, 0.3)
    ours = added(fast, theta, chosen)
    assert_close(ours, added(by_pairs, theta, chosen), 1e-10)
    assert_close(ours, added(explicit, theta, chosen), 1e-10)


def test_many_chunks_and_tasks_to_the_last_digits() -> None:
    made = linear(100 * 50 - 3, 9, task=8, code=8, size=50)
    theta = moved(made.theta, 0.01)
    fast, explicit = (added(kind(made, range(9)), theta) for kind in (GramRegularizer, ExplicitRegularizer))
    assert_close(fast[:1], explicit[:1], 1e-13)
    assert_close(fast[1:], explicit[1:], 1e-12)


def test_single_precision_loses_no_digits_to_small_steps() -> None:
    made = linear(100 * 50 - 3, 9, task=8, code=8, size=50)
    theta = moved(made.float().theta, 1e-5)
    ours = added(GramRegularizer(made, range(9)), theta)
    exactly = {name: tensor.detach().double().requires_grad_() for name, tensor in theta.items()}
    assert_close(ours, added(ExplicitRegularizer(made.double(), range(9)), exactly), 1e-5)


def test_gradients_by_finite_differences() -> None:
    made = linear(25, 3)
    theta = moved(made.theta, 0.3)
    regularizer = GramRegularizer(made, range(3), [[(0, 25)], [(3, 16)], [(0, 5), (14, 21)]])

    def value(*tensors: Tensor) -> Tensor:
        return regularizer(dict(zip(theta, tensors, strict=True)))

    assert torch.autograd.gradcheck(value, tuple(theta.values()))


def test_steps_of_training_are_those_with_the_explicit_sum() -> None:
    nets = [linear(30, 3) for _ in range(2)]
    steps = [
        RegularizedTraining(net, 2, lambda p: torch.optim.Adam(p, lr=0.05), 0.5, regularizer=kind)
        for net, kind in zip(nets, (GramRegularizer, ExplicitRegularizer), strict=True)
    ]
    for _ in range(4):
        values = [step((net(2) - 1).square().sum())["regularizer"] for step, net in zip(steps, nets, strict=True)]
        torch.testing.assert_close(values[0], values[1], rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(list(nets[0].parameters()), list(nets[1].parameters()), rtol=1e-8, atol=1e-10)


def test_hidden_layers_do_not_separate() -> None:
    layout = Layout({"w": torch.Size((20,))})
    made = Hypernetwork(layout, 2, task_embedding=3, hidden=[4], chunk_size=7, chunk_embedding=2)
    assert isinstance(GramRegularizer(made, range(2)).pairs, EveryPair)


class Largest(TorchDispatchMode):
    """Notes the numbers in the largest tensor that is made, and in all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.largest, self.total = max(self.largest, tensor.numel()), self.total + tensor.numel()
        return result


@pytest.mark.parametrize("masked", [False, True])
def test_cost_is_that_of_tasks_plus_chunks(masked: bool) -> None:
    """A step after 80 tasks makes hardly more numbers than after one, and no tensor of tasks times chunks."""
    largest, made = [], []
    for tasks in (1, 80):
        net = linear(300 * 40 - 1, tasks, task=8, code=8, size=40)
        kept = [[(0, 11_900), (11_900 + t, 11_901 + t)] for t in range(tasks)] if masked else None
        regularizer, theta = GramRegularizer(net, range(tasks), kept), moved(net.theta, 0.1)
        with Largest() as noted:
            added(regularizer, theta)
        largest.append(noted.largest)
        made.append(noted.total)
    assert largest[1] <= 300 * (8 + 2 * 8 + 1) < 80 * 300
    if not masked:  # each task's mask has borders, and so segments, of its own
        assert made[1] < 1.5 * made[0]


def test_what_is_kept_does_not_grow_with_tasks_times_chunks() -> None:
    net = linear(300 * 40, 80, task=8, code=8, size=40)
    pairs = GramRegularizer(net, range(80)).pairs
    kept = [value for value in (*vars(pairs).values(), *pairs._over_all) if isinstance(value, Tensor)]  # type: ignore[attr-defined]
    floats = [tensor.numel() for tensor in kept if tensor.is_floating_point()]
    assert max(floats) <= 300 * 8

"""A step that is computed piece by piece is the step itself, bit for bit, and copies no state."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn, optim
from torch.utils._python_dispatch import TorchDispatchMode

from hnet_cl.hypernet import Drift, Hypernetwork, Layout, Lookahead, RegularizedTraining, pieces
from hnet_cl.training.clipping import clipping
from hnet_cl.training.lean_optimizers import without_compiler

Make = Callable[[Iterable[Any]], optim.Optimizer]
ADAM, SGD = partial(optim.Adam, lr=0.1, fused=True), partial(optim.SGD, lr=0.1, fused=True)
TAKEN: dict[str, Make] = {
    "adam": ADAM,
    "adam without compiler": partial(without_compiler(optim.Adam), lr=0.1, fused=True),
    "adam with options": partial(ADAM, betas=(0.5, 0.6), eps=0.3, maximize=True),
    "sgd momentum": partial(SGD, momentum=0.9),
    "sgd with options": partial(SGD, momentum=0.9, nesterov=True, maximize=True),
    "sgd dampened": partial(SGD, momentum=0.9, dampening=0.3),
}
LEFT: dict[str, Make] = {
    "not fused": partial(optim.Adam, lr=0.1, fused=False),
    "decay": partial(ADAM, weight_decay=0.1),
    "amsgrad": partial(ADAM, amsgrad=True),
    "learning rate on the device": lambda p: optim.Adam(p, lr=torch.tensor(0.1), fused=True),
    "no momentum": SGD,
    "adamw": partial(optim.AdamW, lr=0.1, fused=True),
    "clipped": partial(clipping(without_compiler(optim.Adam), 0.5), lr=0.1, fused=True),
    "a class of one's own": partial(type("Own", (optim.Adam,), {}), lr=0.1, fused=True),
}
taken = pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of 64 numbers, of which 33 are left over in a parameter of 5 x 45."""
    monkeypatch.setattr(pieces, "piece_size", lambda _: 64)


def parameter_of(make: Make, steps: int, dtype: torch.dtype = torch.float32) -> tuple[nn.Parameter, optim.Optimizer]:
    torch.manual_seed(3)
    parameter = nn.Parameter(torch.randn(5, 45, dtype=dtype))
    optimizer = make([parameter])
    for _ in range(steps):
        parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    return parameter, optimizer


def in_one(optimizer: optim.Optimizer, drifts: Any) -> Lookahead:
    """The twin of the whole optimiser."""
    with patch.object(pieces, "piece_size", lambda _: 10**9):
        return Lookahead(optimizer, drifts)


@taken
@pytest.mark.parametrize("steps_before", [0, 2])
def test_the_difference_is_that_of_the_whole_step_to_the_last_bit(make: Make, steps_before: int) -> None:
    parameter, optimizer = parameter_of(make, steps_before)
    ours, theirs = Drift(parameter), Drift(parameter)
    by_piece, whole = Lookahead(optimizer, {parameter: ours}), in_one(optimizer, {parameter: theirs})
    assert by_piece._in_pieces and not whole._in_pieces
    for step in range(4):
        parameter.grad = torch.randn_like(parameter)
        if step == 2:
            optimizer.param_groups[0]["lr"] = 0.03  # as a scheduler does
            optimizer.load_state_dict(optimizer.state_dict())  # as a continuation does
        for _ in range(2):  # asking twice changes nothing
            assert by_piece.candidate() == whole.candidate() == {}
        assert torch.equal(ours.difference, theirs.difference)
        assert ours.difference.all() and not torch.equal(ours.difference, parameter - ours.origin)
        optimizer.step()
        torch.testing.assert_close(ours.difference, parameter.detach() - ours.origin, rtol=0, atol=1e-6)


@taken
def test_nothing_else_is_touched(make: Make) -> None:
    parameter, optimizer = parameter_of(make, 2)
    drift = Drift(parameter)
    lookahead = Lookahead(optimizer, {parameter: drift})
    parameter.grad = torch.randn_like(parameter)
    held = [parameter.detach(), parameter.grad, drift.origin, *optimizer.state[parameter].values()]
    before = [tensor.clone() for tensor in held if isinstance(tensor, Tensor)]
    lookahead.candidate()
    assert all(map(torch.equal, before, (tensor for tensor in held if isinstance(tensor, Tensor))))


def test_a_step_of_adam_by_its_formula() -> None:
    """Kingma & Ba, ICLR 2015, algorithm 1: corrected averages, and epsilon outside of the root."""
    first, second, rate, epsilon = 0.7, 0.9, 0.1, 0.3
    make = partial(ADAM, lr=rate, betas=(first, second), eps=epsilon)
    parameter, optimizer = parameter_of(make, 0, torch.float64)
    drift, m, v = Drift(parameter), torch.zeros(5, 45).double(), torch.zeros(5, 45).double()
    lookahead = Lookahead(optimizer, {parameter: drift})
    for step in range(1, 4):
        parameter.grad = torch.randn_like(parameter)
        m, v = first * m + (1 - first) * parameter.grad, second * v + (1 - second) * parameter.grad**2
        ratio = m / (1 - first**step) / ((v / (1 - second**step)).sqrt() + epsilon)
        expected = parameter.detach() - drift.origin - rate * ratio
        lookahead.candidate()
        torch.testing.assert_close(drift.difference, expected, rtol=1e-12, atol=1e-14)
        optimizer.step()


def test_without_a_gradient_there_is_no_step() -> None:
    parameter, optimizer = parameter_of(ADAM, 2)
    drift = Drift(parameter)
    with torch.no_grad():
        parameter += 0.5
    parameter.grad = None
    Lookahead(optimizer, {parameter: drift}).candidate()
    assert torch.equal(drift.difference, parameter - drift.origin)


@pytest.mark.parametrize("make", LEFT.values(), ids=LEFT)
def test_all_others_have_a_twin(make: Make) -> None:
    parameter, optimizer = parameter_of(make, 1)
    assert not Lookahead(optimizer, {parameter: Drift(parameter)})._in_pieces


def test_short_ones_and_those_without_a_drift_have_a_twin() -> None:
    long, short, no_drift = (nn.Parameter(torch.randn(size)) for size in (65, 64, 65))
    optimizer = optim.Adam([{"params": [short]}, {"params": [no_drift, long], "lr": 0.5}], fused=True)
    drifts = {p: Drift(p) for p in (long, short)}
    lookahead = Lookahead(optimizer, drifts)
    assert list(lookahead._in_pieces) == [long]
    for p in (long, short, no_drift):
        p.grad = torch.randn_like(p)
    candidate = {p: tensor.detach().clone() for p, tensor in lookahead.candidate().items()}
    differences = [drifts[p].difference.clone() for p in (long, short)]
    optimizer.step()
    assert list(candidate) == [no_drift] and torch.equal(candidate[no_drift], no_drift)
    moved = [p.detach() - drifts[p].origin for p in (long, short)]
    torch.testing.assert_close(differences, moved, rtol=0, atol=1e-6)


class Made(TorchDispatchMode):
    """Notes the bytes of all storages in which results lie, by their address."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self.sizes[storage.data_ptr()] = storage.nbytes()
        return result


@taken
def test_no_state_is_copied_but_that_of_a_piece(make: Make) -> None:
    parameter, optimizer = parameter_of(make, 2)
    drift = Drift(parameter)
    parameter.grad = torch.randn_like(parameter)
    known = parameter, parameter.grad, drift.stacked, *optimizer.state[parameter].values()
    with Made() as made:
        Lookahead(optimizer, {parameter: drift}).candidate()
    for tensor in known:
        made.sizes.pop(tensor.untyped_storage().data_ptr(), None)
    assert max(made.sizes.values()) == 4 * 64


def test_training_is_the_same_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = []
    for size in (64, 10**9):
        monkeypatch.setattr(pieces, "piece_size", lambda _, size=size: size)
        torch.manual_seed(1)
        layout = Layout({"w": torch.Size((200,))})
        net = Hypernetwork(layout, 3, task_embedding=3, hidden=[6], chunk_size=70, chunk_embedding=2)
        step = RegularizedTraining(net, 2, partial(ADAM, lr=0.05), 0.5)
        for _ in range(5):
            step((net(2) - 1).square().sum())
        nets.append(net)
    assert all(map(torch.equal, *(net.parameters() for net in nets)))

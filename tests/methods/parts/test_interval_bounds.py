"""Bounds of networks: exact for one layer, sound for deeper ones, and a line for layers that have none."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import Box, TargetNetwork
from hnet_cl.methods.parts.interval_bounds import Bounds, IntervalBounds, affine, worst_case
from hnet_cl.targets.bfloat16 import BFloat16
from hnet_cl.targets.mlp import MLP, SigmoidMLP


def box_around(centre: Tensor, most: float = 0.3) -> Box:
    radius = most * torch.rand_like(centre)
    return Box(centre - radius, centre, centre + radius)


def bounds_of(module: nn.Module, box: Box, inputs: Tensor) -> Bounds:
    target = TargetNetwork(module).train(False)
    return IntervalBounds(target, "hint")(box, target.fresh_buffers(), inputs)


def weights_in(box: Box, number: int) -> Tensor:
    return box.low + torch.rand(number, len(box.low)) * (box.high - box.low)


def test_one_layer_is_exact() -> None:
    torch.manual_seed(1)
    box = box_around(torch.tensor([0.2, -0.1, 0.0, 0.1]))
    inputs = torch.tensor([[1.0, -2.0, 0.0]])
    corners = torch.stack([torch.where(torch.tensor(c), box.low, box.high) for c in product((True, False), repeat=4)])
    outputs = corners[:, :3] @ inputs[0] + corners[:, 3]
    found = bounds_of(nn.Linear(3, 1), box, inputs)
    torch.testing.assert_close(found.low.flatten(), outputs.amin()[None])
    torch.testing.assert_close(found.high.flatten(), outputs.amax()[None])


@pytest.mark.parametrize(
    ("low", "high", "positive", "expected"),
    [
        ([1.0, 2.0], [3.0, 2.5], False, (-2 * 3 - 1 * 2.5, 1 * 3 + 2 * 2.5)),  # both positive: exact
        ([-3.0, -2.0], [-1.0, -2.0], False, (-3 * 1 - 2 * 2, 2 * 3 + 1 * 2)),  # both negative: exact
        ([0.0, 2.0], [3.0, 2.5], True, (-2 * 3 - 1 * 2.5, 1 * 3 + 2 * 2.5)),
        ([-1.0, 0.0], [1.0, 0.0], False, (-3.0, 3.0)),  # by parts: -2 x 1 and -1 x 1, where -2 would be exact
    ],
)
def test_a_layer_on_boxes_by_hand(low: list[float], high: list[float], positive: bool, expected: tuple) -> None:
    weight = torch.tensor([[-2.0, -1.0]]), torch.tensor([[1.0, 2.0]])
    given = Bounds(torch.tensor([low]), torch.tensor([high]), positive)
    found = affine(given, weight, (None, None))
    assert (found.low.item(), found.high.item()) == expected


NETWORKS = {
    "relu": (lambda: MLP((3,), 2, [4, 3]), (3,)),
    "sigmoid": (lambda: SigmoidMLP((3,), 2, [4, 3]), (3,)),
    "tanh": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 2, bias=False)), (3,)),
    "frozen": (lambda: nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.ReLU(True), nn.Linear(4, 2)), (3,)),
    "image": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 1), nn.Tanh(), nn.Flatten(),
            nn.Linear(16, 2),
        ),
        (2, 8, 8),
    ),
    "bfloat16": (lambda: BFloat16(MLP((3,), 2, [4])), (3,)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_deeper_networks_are_within_their_bounds(name: str) -> None:
    torch.manual_seed(2)
    make, shape = NETWORKS[name]
    module = make()
    target = TargetNetwork(module).train(False)
    box = box_around(0.5 * torch.randn(target.layout.total), 0.2)
    inputs = torch.randn(5, *shape)
    found = IntervalBounds(target, "hint")(box, target.fresh_buffers(), inputs)
    slack = 0.05 if name == "bfloat16" else 1e-5
    for weights in (*weights_in(box, 200), *box):
        outputs = target(weights, inputs)
        assert (outputs >= found.low - slack).all() and (outputs <= found.high + slack).all()
    point = Box(box.centre, box.centre, box.centre)
    tight = IntervalBounds(target, "hint")(point, target.fresh_buffers(), inputs)
    torch.testing.assert_close(tight.low, target(box.centre, inputs), rtol=0.0, atol=slack)
    torch.testing.assert_close(tight.high, target(box.centre, inputs), rtol=0.0, atol=slack)


def test_slopes_of_a_weight_of_zero_are_those_of_the_network() -> None:
    """Both parts of 0 would take the whole slope each if they were clamped."""
    weights, inputs = torch.tensor([0.0, 0.0, 1.0], requires_grad=True), torch.tensor([[2.0, -3.0]])
    found = bounds_of(nn.Linear(2, 1), Box(weights, weights, weights), inputs)
    (found.low + 10 * found.high).sum().backward()
    torch.testing.assert_close(weights.grad, 11 * torch.tensor([2.0, -3.0, 1.0]))


def test_the_worst_case_has_the_lower_bound_of_the_label() -> None:
    bounds = Bounds(torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]), torch.tensor([[4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]))
    assert worst_case(bounds, torch.tensor([0, 2])).tolist() == [[1.0, 5.0, 6.0], [7.0, 8.0, 3.0]]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)


class Looks(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), r"and not of 1 \(nn\.BatchNorm1d\); use another target"),
        (nn.Sequential(nn.LSTM(3, 3)), r"and not of 0 \(nn\.LSTM\); use another target"),
        (Residual(), r"and not of add \(add\); use another target, or method=hnet$"),
        (Looks(), r"cannot be traced \(TraceError\); use a target whose layers form one chain, or method=hnet$"),
    ],
)
def test_layers_without_bounds_are_named(module: nn.Module, said: str) -> None:
    with pytest.raises(UserError, match=rf"^target\._target_=[\w.]+: method=hint .*{said}"):
        IntervalBounds(TargetNetwork(module), "hint")

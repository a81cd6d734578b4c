"""Low-rank parts of layers: what is computed, which layers have them, and how many numbers they are."""

from typing import Any

import pytest
import torch
from builders import LAYERWISE, METHODS, WITHOUT_TARGET, blobs, learned, learner, rows_of, training
from torch import Tensor, nn
from torch.nn import functional as F

from hnet_cl.hypernet import TargetNetwork, trainable
from hnet_cl.methods.hnet import HNet
from hnet_cl.methods.parts.generated import Generated
from hnet_cl.targets.lora import LowRank, add_low_rank
from hnet_cl.targets.mlp import MLP
from hnet_cl.targets.selection import freeze_others, selected

BENCHMARK = blobs()
OUTPUTS = 6
PLACE = "layers.{}.parametrizations.weight.0.{}"
PARTS = {PLACE.format(layer, part) for layer in (0, 1) for part in "AB"}
ONLY = {"icarl": "cl3", "gdumb": "cl3", "hnet_r": "cl3", "hnet_ent": "cl3", "hnet_tir": "cl3"}


def adapted(num_outputs: int, words: str = "lora") -> nn.Module:
    """An MLP 2-5-4-`num_outputs`, with parts of rank 2 on the first two layers alone trained."""
    torch.manual_seed(7)
    network = MLP((2,), num_outputs, [5, 4])
    add_low_rank(network, 2, 0.5, "*", num_outputs)
    freeze_others(network, selected(network, words, num_outputs))
    return network


def convolutional() -> nn.Module:
    torch.manual_seed(3)
    layers = nn.Conv2d(3, 8, 3, padding=1, groups=1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=4), nn.Conv2d(8, 2, 1)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(2, 5))


def test_the_weight_is_w_plus_s_b_a() -> None:
    layer = nn.Linear(3, 2)
    weight = layer.weight.detach().clone()
    add_low_rank(nn.Sequential(layer, nn.Linear(2, 4)), 1, 0.5, "0", 4)
    part: Any = layer.parametrizations["weight"][0]  # type: ignore[index]
    assert (part.A.shape, part.B.shape) == ((1, 3), (2, 1)) and not part.B.any() and part.A.all()
    assert torch.equal(layer.weight, weight)
    with torch.no_grad():
        part.A.copy_(torch.tensor([[1.0, 2.0, 3.0]]))
        part.B.copy_(torch.tensor([[4.0], [-2.0]]))
    added = torch.tensor([[2.0, 4.0, 6.0], [-1.0, -2.0, -3.0]])
    torch.testing.assert_close(layer.weight, weight + added)
    inputs = torch.randn(7, 3)
    torch.testing.assert_close(layer(inputs), F.linear(inputs, weight + added, layer.bias))


def test_convolutions_of_any_size_and_groups() -> None:
    network, base = convolutional(), convolutional()
    inputs = torch.randn(2, 3, 3, 3)
    add_low_rank(network, 2, 3.0, "*", 5)
    assert torch.equal(network(inputs), base(inputs))
    kernels: list[Tensor] = []
    for place in (0, 2, 3):
        layer: Any = network[place]  # type: ignore[index]
        part = layer.parametrizations.weight[0]
        nn.init.normal_(part.B)
        kernel = base[place].weight  # type: ignore[index]
        kernels.append(kernel + 3 * (part.B @ part.A).reshape(kernel.shape))
        assert (part.A.numel(), part.B.numel()) == (2 * kernel[0].numel(), 2 * len(kernel))
    x = F.conv2d(inputs, kernels[0], base[0].bias, padding=1).relu()  # type: ignore[index]
    x = F.conv2d(F.conv2d(x, kernels[1], base[2].bias, groups=4), kernels[2], base[3].bias)  # type: ignore[index]
    torch.testing.assert_close(network(inputs), base[5](x.flatten(1)))  # type: ignore[index]


def test_projections_of_attention() -> None:
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    inputs = torch.randn(2, 3, 8)
    before = layer(inputs)
    names = ["linear1", "linear2", "self_attn", "self_attn.out_proj"]
    add_low_rank(layer, 1, 1.0, "*", 10)
    assert sorted(name for name, module in layer.named_modules() if hasattr(module, "parametrizations")) == names
    torch.testing.assert_close(layer(inputs), before)
    parts = [part for part in layer.modules() if isinstance(part, LowRank)]
    assert sum(part.A.numel() + part.B.numel() for part in parts) == (8 + 24) + (8 + 8) + (8 + 16) + (16 + 8)
    target = TargetNetwork(layer)
    weights = target.layout.flatten(trainable(layer)).detach().requires_grad_()
    target(weights, inputs).square().mul(inputs).sum().backward()
    assert weights.grad is not None
    gradients = target.layout.split(weights.grad)
    added = {name: gradient.any().item() for name, gradient in gradients.items() if "parametrizations" in name}
    moved = {name: name.endswith(".B") for name in added if not name.endswith("original")}
    assert len(moved) == 8 and {name: added[name] for name in moved} == moved  # A waits until B is not 0


@pytest.mark.parametrize(
    ("pattern", "places"), [("*", {0, 2, 3}), ("[02]", {0, 2}), ("3", {3})], ids=["all", "two", "one"]
)
def test_places_by_pattern_without_the_output_layer(pattern: str, places: set[int]) -> None:
    network = convolutional()
    add_low_rank(network, 1, 1.0, pattern, 5)
    found = {int(name.split(".")[0]) for name in selected(network, "lora", 5)}
    assert found == places
    words = selected(network, "lora+head", 5)
    assert words[-2:] == ["5.weight", "5.bias"] and len(words) == 2 * len(places) + 2


def test_a_pattern_of_nothing() -> None:
    with pytest.raises(
        ValueError, match=r"^fits no such layer of Sequential; beside the output layer there are 0, 2, 3$"
    ):
        add_low_rank(convolutional(), 1, 1.0, "5", 5)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in {*WITHOUT_TARGET, *LAYERWISE}])
def test_every_method_trains_these_parts_alone(method: str) -> None:
    changes: dict[str, Any] = {"base": "initial"} if METHODS[method] is HNet else {}
    made = learner(method, BENCHMARK, ONLY.get(method, "cl1"), 1, adapted, **changes)
    start = dict(made.context.new_target(made.heads.num_outputs).named_parameters())
    list(rows_of(made, BENCHMARK.tasks, training(iterations=3), []))
    if isinstance(made, Generated) and made.task_network(0) is None:  # a distribution of networks for each task
        assert made.target.layout.shapes.keys() == PARTS
        return
    if isinstance(made, Generated):
        networks = [made.task_network(task)[0] for task in range(3)]
    else:
        networks = [*getattr(made, "networks", [])] or [made.network]
    for network in networks:
        found = dict(network.named_parameters())
        same = {name for name in found if found[name].shape == start[name].shape and found[name].equal(start[name])}
        sizes = {name for name in found if found[name].shape != start[name].shape}  # of heads of other sizes
        assert found.keys() - same - sizes == PARTS


def test_with_a_base_every_task_starts_at_the_network_itself() -> None:
    made = learner("hnet", BENCHMARK, "cl1", 1, adapted, base="initial")
    inputs, _ = BENCHMARK.tasks[0].train.batch(slice(None))
    expected = adapted(OUTPUTS)(inputs)
    for task in range(3):
        made.begin_task(BENCHMARK.tasks[: task + 1])
    for task in range(3):
        torch.testing.assert_close(made.task_network(task)[0](inputs), expected)
    assert made.generated_size == 2 * (2 + 5) + 2 * (5 + 4)


@pytest.mark.parametrize("method", ["scratch", "hnet"])
def test_what_is_kept_grows_by_these_parts_alone(method: str) -> None:
    """Frozen are an MLP 2-5-4-n with its biases; `scratch` has heads of two outputs and parts for every task."""
    kept = []
    for tasks in (2, 3):
        made = learner(method, blobs(num_tasks=tasks), "cl1", 1, two_outputs)
        kept.append(sum(learned(made, blobs(num_tasks=tasks), tasks, 1).kept_bytes().values()))
    small = 2 * (2 + 5) + 2 * (5 + 4) if method == "scratch" else 3  # an embedding
    assert kept[1] - kept[0] == 4 * small


def two_outputs(num_outputs: int) -> nn.Module:
    """As `adapted`, whose frozen output layer has two outputs, repeated for all tasks."""
    network = adapted(2)
    return nn.Sequential(network, Repeated(num_outputs // 2))


class Repeated(nn.Module):
    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, logits: Tensor) -> Tensor:
        return logits.repeat(1, self.times)

"""Layouts of flat weight vectors, and modules as functions of such vectors."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hnet_cl.hypernet import Layout, TargetNetwork, copied


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout2d(0.5), nn.Flatten(), nn.Linear(12, 5)
    )


class Tied(nn.Module):
    """A linear autoencoder with one matrix under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 3)
        self.decoder = nn.Linear(3, 3)
        self.decoder.weight = self.encoder.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x).relu())


class Pretrained(nn.Module):
    """Frozen parameters, one by the name of a method, an empty one, and a shared module that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.train_ = nn.Linear(3, 3).requires_grad_(False)
        self.again = self.train_
        self.layout = nn.Parameter(torch.randn(3), requires_grad=False)
        self.table = nn.Parameter(torch.arange(3), requires_grad=False)
        self.empty = nn.Parameter(torch.empty(0, 2))
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.again(self.train_(x))[:, self.table] * self.layout)


class SharedModules(nn.Module):
    """A module with statistics under two names, and one parameter under two names in one module."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.same = self.norm
        self.left = nn.Parameter(torch.randn(3))
        self.right = self.left

    def forward(self, x: Tensor) -> Tensor:
        return self.same(self.norm(x) * self.left) + self.right


class Averages(nn.Module):
    """Replaces its buffers instead of changing them; one of them changes its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("cache", torch.zeros(1))
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        self.mean = 0.5 * self.mean + 0.5 * (x * self.scale).mean(0)
        self.cache = torch.zeros(len(x))
        self.seen = {"last": [x * self.scale]}
        return x * self.scale - self.mean


def flat_weights(module: nn.Module) -> Tensor:
    return Layout.of(module).flatten(dict(module.named_parameters())).detach()


def seeded_call(function: Any, *args: Any) -> Tensor:
    """Calls with the same draws each time, for dropout."""
    torch.manual_seed(5)
    return function(*args)


def test_layout_follows_the_modules_own_order_of_parameters() -> None:
    layout = Layout.of(convnet())
    assert list(layout.shapes.items()) == [
        ("0.weight", (3, 2, 3, 3)),
        ("0.bias", (3,)),
        ("1.weight", (3,)),
        ("1.bias", (3,)),
        ("5.weight", (5, 12)),
        ("5.bias", (5,)),
    ]
    assert layout.sizes == (54, 3, 3, 3, 60, 5)
    assert layout.total == 128
    assert [layout.interval(name) for name in ("0.weight", "1.weight", "5.bias")] == [(0, 54), (57, 60), (123, 128)]
    with pytest.raises(KeyError, match=r"6\.bias.*0\.weight, 0\.bias"):
        layout.interval("6.bias")


def test_split_and_flatten_are_inverse_and_keep_order() -> None:
    layout = Layout.of(mlp())
    flat = torch.arange(layout.total)
    named = layout.split(flat)
    assert {name: p.shape for name, p in named.items()} == layout.shapes
    assert named["0.weight"].tolist()[1] == [4, 5, 6, 7]
    assert named["2.bias"].tolist() == [48, 49, 50]
    assert torch.equal(layout.flatten(named), flat)
    assert torch.equal(layout.flatten(dict(reversed(named.items()))), flat)


def test_a_parameter_without_dimensions_counts_one() -> None:
    module = nn.Module()
    module.scale = nn.Parameter(torch.tensor(2.0))
    assert Layout.of(module).sizes == (1,)
    assert Layout.of(module).split(torch.tensor([3.0]))["scale"].shape == ()


def test_a_module_without_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="ReLU has no trainable parameters"):
        TargetNetwork(nn.ReLU())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("make", "shape"), [(mlp, (7, 4)), (convnet, (7, 2, 4, 4))])
def test_with_its_own_weights_the_module_is_reproduced(make: Any, shape: tuple[int, ...], training: bool) -> None:
    module, inputs = make(), torch.randn(shape)
    for parameter in module.parameters():  # BatchNorm's initial 1 and 0 would hide a mix-up
        nn.init.normal_(parameter)
    target, weights = TargetNetwork(module).train(training), flat_weights(module)
    module.train(training)
    assert torch.equal(seeded_call(target, weights, inputs), seeded_call(module, inputs))


def test_buffers_handed_in_are_updated_as_the_modules_own() -> None:
    module, inputs = convnet(), torch.randn(7, 2, 4, 4)
    target, weights = TargetNetwork(module), flat_weights(module)
    buffers, untouched = target.fresh_buffers(), target.fresh_buffers()
    for _ in range(2):
        seeded_call(target.train(), weights, inputs, buffers)
        seeded_call(module.train(), inputs)
    own = dict(module.named_buffers())
    assert own.keys() == buffers.keys() == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert all(torch.equal(own[name], buffers[name]) for name in own)
    assert buffers["1.num_batches_tracked"] == 2
    assert torch.equal(target.train(False)(weights, inputs, buffers), module.eval()(inputs))
    target.train()(weights, inputs)  # with no buffers handed in, none are kept
    assert all(torch.equal(target.fresh_buffers()[name], untouched[name]) for name in own)


def test_the_module_handed_in_stays_as_it_is() -> None:
    module = convnet()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    target = TargetNetwork(module)
    target.train(False)(torch.randn(128), torch.randn(7, 2, 4, 4), target.fresh_buffers())
    target.train()(torch.randn(128), torch.randn(7, 2, 4, 4))
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_tied_parameters_are_counted_once_and_stay_tied() -> None:
    module, inputs = Tied(), torch.randn(4, 3)
    target = TargetNetwork(module)
    assert list(target.layout.sizes) == [9, 3, 3]
    assert torch.equal(target(flat_weights(module), inputs), module(inputs))
    other = torch.randn(15)
    matrix, in_bias, out_bias = other[:9].view(3, 3), other[9:12], other[12:]
    by_hand = (inputs @ matrix.T + in_bias).relu() @ matrix.T + out_bias
    torch.testing.assert_close(target(other, inputs), by_hand)


@pytest.mark.parametrize(("make", "shape"), [(mlp, (7, 4)), (convnet, (7, 2, 4, 4)), (Tied, (7, 3))])
def test_gradients_of_flat_weights_are_the_modules_gradients(make: Any, shape: tuple[int, ...]) -> None:
    module, inputs = make(), torch.randn(shape)
    target, weights = TargetNetwork(module), flat_weights(module).requires_grad_()
    seeded_call(target, weights, inputs).square().sum().backward()
    seeded_call(module, inputs).square().sum().backward()
    own = target.layout.flatten({name: p.grad for name, p in module.named_parameters() if p.grad is not None})
    assert weights.grad is not None and weights.grad.any()
    torch.testing.assert_close(weights.grad, own, rtol=0, atol=0)


def test_what_is_not_trained_stays_and_is_state() -> None:
    module, inputs = Pretrained(), torch.randn(4, 3)
    target = TargetNetwork(module)
    assert list(target.layout.shapes.items()) == [("head.weight", (2, 3)), ("head.bias", (2,))]
    assert sorted(target.state_dict()) == [
        f"frozen/{name}" for name in ("empty", "layout", "table", "train_/bias", "train_/weight")
    ]
    assert list(target.parameters()) == []
    assert torch.equal(target(flat_weights(module), inputs), module(inputs))
    other = TargetNetwork(Pretrained())
    assert not torch.equal(other(flat_weights(module), inputs), module(inputs))
    other.load_state_dict(target.state_dict())
    assert torch.equal(other(flat_weights(module), inputs), module(inputs))
    with torch.no_grad():
        module.layout.zero_()  # the target network has values of its own
    assert target(flat_weights(module), inputs).std(0).gt(0).all()


def test_shared_modules_start_afresh_for_each_task() -> None:
    module = SharedModules()
    target, weights = TargetNetwork(module), flat_weights(module)
    assert list(target.layout.shapes) == ["left", "norm.weight", "norm.bias"]
    expected = {name: buffer.clone() for name, buffer in module.named_buffers()}
    for _ in range(2):
        inputs, buffers = torch.randn(5, 3), target.fresh_buffers()
        assert all(torch.equal(buffer, expected[name]) for name, buffer in buffers.items())
        assert torch.equal(target.train()(weights, inputs, buffers), copy.deepcopy(module)(inputs))
        assert buffers["norm.num_batches_tracked"] == 2


def test_buffers_that_a_module_replaces_are_kept() -> None:
    module, inputs = Averages(), torch.randn(4, 3)
    target, weights = TargetNetwork(module), flat_weights(module).requires_grad_()
    buffers = target.fresh_buffers()
    for _ in range(2):
        torch.testing.assert_close(target.train()(weights, inputs, buffers), module(inputs), rtol=0, atol=0)
        assert torch.equal(buffers["mean"], module.mean) and not buffers["mean"].requires_grad
        module.mean = module.mean.detach()
    assert buffers["cache"].shape == (1,)
    before = buffers["mean"].clone()
    target.train(False)(weights, inputs, buffers)
    assert torch.equal(buffers["mean"], before), "evaluation moves nothing"


def test_a_copy_has_what_a_module_keeps_without_its_graph() -> None:
    module, inputs = Averages(), torch.randn(4, 3)
    module(inputs)
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(module)
    twin = copied(module)
    assert torch.equal(twin.seen["last"][0], module.seen["last"][0]) and not twin.seen["last"][0].requires_grad
    assert torch.equal(twin.mean, module.mean) and twin.mean is not module.mean
    assert twin.scale is not module.scale and twin.scale.requires_grad
    assert module.seen["last"][0].requires_grad, "the original stays as it is"


@pytest.mark.parametrize("rows", [slice(0, 2), slice(2, 5), slice(0, 5)])
def test_without_other_rows_is_a_mask_over_rows(rows: slice) -> None:
    layout = Layout.of(convnet())
    masks: Mapping[str, Tensor] = {name: torch.ones(shape, dtype=torch.bool) for name, shape in layout.shapes.items()}
    for name in ("5.weight", "5.bias"):
        masks[name][:] = False
        masks[name][rows] = True
    kept = torch.zeros(layout.total, dtype=torch.bool)
    for start, stop in layout.without_other_rows(("5.weight", "5.bias"), rows):
        kept[start:stop] = True
    assert torch.equal(kept, layout.flatten(masks))


def test_weights_are_added_to_the_initial_ones() -> None:
    module, inputs = Pretrained(), torch.randn(20, 3)
    target, start = TargetNetwork(module, base="initial"), flat_weights(module)
    moved = torch.randn(target.layout.total)
    buffers: dict[str, Tensor] = {}
    assert torch.equal(target(torch.zeros_like(start), inputs), module(inputs))
    plain = TargetNetwork(module)
    for weights in (moved, target.layout.split(moved)):
        assert torch.equal(target(weights, inputs), plain(start + moved, inputs))
        state = target.named_state(weights, buffers)
        assert state.keys() == plain.named_state(start, buffers).keys()
        assert all(torch.equal(state[name], value) for name, value in plain.layout.split(start + moved).items())
    other = TargetNetwork(Pretrained(), base="initial")
    other.load_state_dict(target.state_dict())
    assert torch.equal(other(moved, inputs), target(moved, inputs))
    assert target.state_dict().keys() - plain.state_dict().keys() == {"base"}

"""What goes into layers, by hand and by unfolding; networks that have more than plain layers are refused."""

import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from networks import NETWORKS, PLAIN_LAYERS, Network, UsesWeightElsewhere
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import trainable
from hnet_cl.methods.parts.affine_layers import (
    affine_layers,
    require_output_layer,
    require_plain_layers,
    second_moments,
)
from hnet_cl.targets.lora import add_low_rank

INPUTS = torch.tensor([[0.5, -0.2], [1.0, 0.3], [-0.4, 0.8]])


def mean_square(rows: Tensor) -> Tensor:
    rows = rows.double()
    return rows.T @ rows / len(rows)


def with_ones(rows: Tensor) -> Tensor:
    return torch.cat([rows, torch.ones(len(rows), 1)], 1)


def test_second_moments_of_linear_layers() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True), nn.Linear(3, 2, bias=False))
    layers = affine_layers(network, "owm")
    assert [tuple(layer) for layer in layers] == [("0", 0, 1), ("2", 2, None)]
    first, second = second_moments(network, layers, INPUTS.split(2))
    torch.testing.assert_close(first, mean_square(with_ones(INPUTS)))
    torch.testing.assert_close(second, mean_square(network[0](INPUTS).relu().detach()))


@pytest.mark.parametrize("choices", [{}, {"stride": 2, "padding": 1}, {"padding": "same", "dilation": 2}])
def test_inputs_of_a_convolution_are_the_patches_of_its_kernel(choices: dict[str, int | str]) -> None:
    network = nn.Conv2d(2, 3, 3, **choices)
    images = torch.randn(4, 2, 6, 7)
    (found,) = second_moments(network, affine_layers(network, "owm"), [images])
    unfolding = choices | ({"padding": 2} if choices.get("padding") == "same" else {})
    patches = F.unfold(images, 3, **unfolding).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(found, mean_square(with_ones(patches)))


def test_a_layer_that_is_used_twice_has_the_inputs_of_both_times() -> None:
    layer = nn.Linear(2, 2, bias=False)
    network = nn.Sequential(layer, layer)
    (found,) = second_moments(network, affine_layers(network, "owm"), [INPUTS])
    torch.testing.assert_close(found, mean_square(torch.cat([INPUTS, layer(INPUTS).detach()])))


def test_joined_and_put_are_inverse() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.Linear(3, 4, bias=False))
    weights = [weight.detach() for weight in trainable(network).values()]
    empty = [torch.zeros_like(weight) for weight in weights]
    for layer, shape in zip(affine_layers(network, "owm"), [(3, 9), (4, 3)], strict=True):
        assert layer.joined(weights).shape == shape
        layer.put(layer.joined(weights), empty)
    assert all(map(torch.equal, weights, empty))


@pytest.mark.parametrize("name", NETWORKS)
def test_of_all_networks_those_with_plain_layers_pass_and_others_are_named(name: str) -> None:
    network = NETWORKS[name](4)

    def examined() -> None:
        require_plain_layers(network, affine_layers(network, "owm"), INPUTS[:2], "owm")

    if name in PLAIN_LAYERS:
        before = {key: value.clone() for key, value in network.state_dict().items()}
        examined()
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
        assert all(weight.grad is None for weight in network.parameters())
    else:
        with pytest.raises(UserError, match=r"^target._target_=.*: method=owm .*; use .*$"):
            examined()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(2, 4, 3, groups=2), "weight is not the weight or bias of one"),
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), "1.weight is not the weight or bias of one"),
        (lambda: NETWORKS["shared"](2), "between.weight is not the weight or bias of one"),
    ],
)
def test_what_is_no_plain_layer_is_named(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        affine_layers(make(), "owm")


def test_low_rank_parts_are_named_by_the_key_that_adds_them() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    add_low_rank(network, 1, 1.0, "*", 2)
    with pytest.raises(UserError, match=r"^training.parameters=lora with method=owm: it works on plain layers, "):
        affine_layers(network, "owm")


def test_a_weight_in_two_layers_is_named() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].weight = network[0].weight
    with pytest.raises(UserError, match=r"0.weight belongs to several layers; use another target"):
        affine_layers(network, "owm")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (UsesWeightElsewhere(2), "between is used elsewhere too"),
        (Network(2, nn.BatchNorm1d(4, affine=False)), "training changes between.running_mean, which all tasks share"),
    ],
)
def test_what_only_shows_in_use_is_named(network: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=message):
        require_plain_layers(network, affine_layers(network, "gpm"), INPUTS, "gpm")


def test_the_last_layer_must_give_the_outputs() -> None:
    network = NETWORKS["nested"](2)
    layers = affine_layers(network, "gpm")
    require_output_layer(network, layers[-1], INPUTS, "gpm")
    with pytest.raises(UserError, match="its last layer, first, does not give its outputs"):
        require_output_layer(network, layers[0], INPUTS, "gpm")

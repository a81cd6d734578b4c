"""Initial weights of networks that are trained directly."""

from math import sqrt
from typing import Any

import pytest
import torch
from builders import SETTINGS, begin, blobs, learner
from torch import nn

from hnet_cl.methods.parts.initial import initialised


def test_xavier_by_its_formula() -> None:
    torch.manual_seed(0)
    linear, convolution, norm = nn.Linear(300, 100), nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32)
    nn.init.constant_(norm.bias, 0.5)
    network = nn.Sequential(convolution, norm, nn.Flatten(), linear, nn.Linear(5, 4, bias=False))
    assert initialised(network, "xavier") is network
    for layer, fans in ((linear, 300 + 100), (convolution, 9 * (3 + 32))):
        bound = sqrt(6 / fans)
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / sqrt(3), rel=0.05)
        assert layer.bias is not None and not layer.bias.any()
    assert (norm.weight == 1).all() and (norm.bias == 0.5).all()


def test_torch_leaves_the_weights_alone() -> None:
    linear = nn.Linear(3, 2)
    before = linear.weight.clone(), linear.bias.clone()
    initialised(linear, "torch")
    assert torch.equal(linear.weight, before[0]) and torch.equal(linear.bias, before[1])


@pytest.mark.parametrize("method", ["hnet_r", "dgr", "hnet_tir"])
def test_replay_initialises_all_that_it_does_not_generate(method: str) -> None:
    changes: dict[str, Any] = {"init": "xavier"}
    if method == "hnet_tir":
        changes = {"task_inference": SETTINGS[method]["task_inference"] | changes}
    made = learner(method, blobs(), "cl3", **changes)
    replay = made.task_inference.classifier if method == "hnet_tir" else made
    begin(made, 0)
    networks = [replay.network, replay.generator.encoder, *([replay.generator.decoder] if method == "dgr" else [])]
    layers = [layer for network in networks for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == 2 * len(networks)
    assert not any(layer.bias.any() for layer in layers), "torch's own biases are not zero"
    assert all(layer.weight.abs().max() <= sqrt(6 / sum(layer.weight.shape)) for layer in layers)
    judged = replay.context.new_target(2)
    assert judged.layers[0].bias.any(), "the classifier of real data is the same for all methods"

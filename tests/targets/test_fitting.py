"""Networks whose constructors know nothing of hnet_cl: what they are given, and what is changed in them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hnet_cl.hypernet import TargetNetwork
from hnet_cl.targets.fitting import Build, fitted, supplied


class Plain(nn.Module):
    """Two layers for flat inputs, whose number of outputs nobody can choose."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(12, width), nn.ReLU(), nn.Linear(width, 10, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x)


class Patches(nn.Module):
    """A small transformer on patches of an image."""

    def __init__(self, image_size: int, in_channels: int = 3, num_classes: int = 1000, patch: int = 4) -> None:
        super().__init__()
        self.embed = nn.Conv2d(in_channels, 8, patch, stride=patch)
        self.place = nn.Parameter(torch.zeros(1, (image_size // patch) ** 2, 8))
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.head = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.encoder(x).mean(1))


def colours(n_classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.Flatten(), nn.LazyLinear(n_classes))


def anything(**given: Any) -> nn.Module:
    return Plain(**given)


def convolutional(**given: int) -> nn.Module:
    """Its outputs are those of a convolution, although it has linear layers, as networks with attention have."""
    inside = nn.Sequential(nn.Flatten(), nn.Linear(12, 12), nn.Unflatten(1, (3, 2, 2)))
    return nn.Sequential(inside, nn.Conv2d(3, given["num_classes"], 2), nn.Flatten())


def forgetful(width: int = 5, **ignored: int) -> nn.Module:
    return Plain(width)


class Attends(nn.Module):
    """Its last linear layer is the one inside of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 1)


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (Plain, []),
        (Patches, ["in_channels", "image_size", "num_classes"]),
        (nn.Linear, ["in_features", "out_features"]),
        (colours, ["n_classes"]),
        (anything, []),
        (lambda in_shape, num_outputs, num_classes=3, in_channels=2: nn.Linear(1, 1), ["in_shape", "num_outputs"]),
        (lambda num_classes, n_classes, in_shape: nn.Linear(1, 1), ["in_shape", "num_classes"]),
    ],
)
def test_what_a_constructor_is_given(build: Build, names: list[str]) -> None:
    assert supplied(build) == names


@pytest.mark.parametrize(
    ("build", "shape", "notes"),
    [
        (Plain, (3, 2, 2), ["its last linear layer, head.3, has 6 outputs in place of 10"]),
        (Patches, (1, 8, 8), ["it is given in_channels=1, image_size=8, num_classes=6"]),
        (nn.Linear, (12,), ["it is given in_features=12, out_features=6"]),
        (colours, (1, 2, 2), ["it is given n_classes=6", "it sees grey images as three equal channels"]),
        (colours, (3, 2, 2), ["it is given n_classes=6"]),
        (anything, (3, 2, 2), ["its last linear layer, head.3, has 6 outputs in place of 10"]),
        (convolutional, (3, 2, 2), ["it is given num_classes=6"]),
        (
            forgetful,
            (3, 2, 2),
            ["it is given num_classes=6", "its last linear layer, head.3, has 6 outputs in place of 10"],
        ),
    ],
)
def test_it_has_the_outputs_of_the_task(build: Build, shape: tuple[int, ...], notes: list[str]) -> None:
    network, said = fitted(build, shape, 6, {})
    assert network(torch.randn(2, *shape)).shape == (2, 6) and said == notes


def test_arguments_and_form_stay() -> None:
    network, _ = fitted(Plain, (12,), 6, {"width": 7})
    assert [tuple(weight.shape) for weight in network.parameters()] == [(7, 12), (7,), (6, 7)]
    assert fitted(Plain, (12,), 10, {})[1] == []


def test_grey_images_are_repeated_also_with_generated_weights() -> None:
    network, _ = fitted(lambda num_classes: nn.Sequential(nn.Conv2d(3, num_classes, 1), nn.Flatten()), (1, 1, 1), 2, {})
    grey = torch.tensor([[[[2.0]]], [[[-1.0]]]])
    weight = torch.arange(6.0)
    generated = TargetNetwork(network)(torch.cat([weight, torch.zeros(2)]), grey)
    assert torch.equal(generated, grey[:, 0, 0] * torch.tensor([[0.0 + 1 + 2, 3.0 + 4 + 5]]))


@pytest.mark.parametrize("build", [Attends, nn.Identity])
def test_without_an_output_layer(build: Build) -> None:
    with pytest.raises(ValueError, match=r"^it takes none of num_outputs, .* has no nn.Linear to replace$"):
        fitted(build, (4,), 6, {})


def test_an_error_of_the_constructor_stays() -> None:
    with pytest.raises(TypeError, match="hidden"):
        fitted(anything, (12,), 6, {"hidden": 3})

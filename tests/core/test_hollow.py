"""Modules without values have the shapes of those with values, and come without PyTorch's slow reference functions."""

import pytest
import torch
from torch import Tensor, nn

from hnet_cl.core.hollow import hollow
from hnet_cl.hypernet import Hypernetwork, Layout
from hnet_cl.targets.resnet import ResNet


def made(build: str) -> nn.Module:
    if build == "resnet":
        return ResNet((3, 32, 32), 10, 1, [4, 4, 8, 8])
    if build == "attention":
        return nn.TransformerEncoderLayer(16, 2, 32)
    return Hypernetwork(Layout({"w": torch.Size([7, 3]), "b": torch.Size([7])}), 2, hidden=[5], task_embedding=4)


@pytest.mark.parametrize("build", ["resnet", "attention", "hypernetwork"])
def test_shapes_are_those_of_modules_with_values(build: str) -> None:
    with hollow():
        empty = made(build)
    full = made(build)

    def facts(module: nn.Module) -> dict[str, tuple[torch.Size, torch.dtype]]:
        return {name: (value.shape, value.dtype) for name, value in module.state_dict().items()}

    assert facts(empty) == facts(full)
    assert all(value.is_meta for value in (*empty.parameters(), *empty.buffers()))


def test_what_has_values_keeps_them() -> None:
    held = torch.zeros(3)
    with hollow():
        nn.init.ones_(held)
        Tensor.uniform_(held, 2, 3)
        alike = torch.ones_like(held)
        empty = torch.empty_like(torch.empty(2, 5), dtype=torch.int64)
    assert ((held >= 2) & (held <= 3)).all() and torch.equal(alike, torch.ones(3))
    assert empty.is_meta and (empty.shape, empty.dtype) == ((2, 5), torch.int64)

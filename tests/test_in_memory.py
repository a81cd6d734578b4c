"""Arrays and networks of a running program as what a configuration can name."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hnet_cl.config.networks import network_builder
from hnet_cl.core.errors import UserError
from hnet_cl.in_memory import network_path, write_arrays
from hnet_cl.targets.fitting import fitted
from hnet_cl.targets.mlp import MLP


class TestArrays:
    def test_the_same_arrays_have_the_same_folder(self, tmp_path: Path) -> None:
        inputs, labels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.array([0, 1, 0])
        made = write_arrays(inputs, labels, tmp_path)
        assert np.array_equal(np.load(made / "X.npy"), inputs) and np.array_equal(np.load(made / "y.npy"), labels)
        before = (made / "X.npy").stat().st_mtime_ns
        assert write_arrays(torch.tensor(inputs), labels.copy(), tmp_path) == made
        assert (made / "X.npy").stat().st_mtime_ns == before
        others = [(inputs[::-1], labels), (inputs.astype(float), labels), (inputs, labels[::-1] + 1)]
        others += [(inputs.reshape(3, 4), labels), (inputs, labels.astype(np.int32))]
        assert len({made, *(write_arrays(*other, tmp_path) for other in others)}) == 6
        assert {path.name for path in made.iterdir()} == {"X.npy", "y.npy"}

    @pytest.mark.parametrize(
        ("inputs", "labels", "line"),
        [
            ([[1.0], [2.0]], [0], "X, y: have 2 and 1 entries; give a label for each example"),
            (3.0, [0], "X: is float64 of shape (); give an array of numbers, an entry each"),
            ([[1.0], [2.0]], ["cat", "dog"], "y: is <U3 of shape (2,); give an array of numbers, an entry each"),
            ([[1.0], [2.0, 3.0]], [0, 1], "X: is no array ("),
        ],
    )
    def test_what_is_no_array_is_one_line(self, inputs: object, labels: object, line: str, tmp_path: Path) -> None:
        with pytest.raises(UserError) as error:
            write_arrays(inputs, labels, tmp_path)
        assert str(error.value).startswith(line) and not list(tmp_path.iterdir())


class Own(nn.Sequential):
    """As a notebook has it, once its module is called `__main__`."""

    def __init__(self, width: int = 3) -> None:
        super().__init__(nn.Linear(2, width), nn.Linear(width, 5))


class TestNetworks:
    def test_what_can_be_imported_has_its_path(self) -> None:
        assert network_path("my.Net") == "my.Net"
        assert network_path(MLP) == "hnet_cl.targets.mlp.MLP"

    def test_a_class_of_a_notebook(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Own, "__module__", "__main__")
        path = network_path(Own)
        assert path.startswith("hnet_cl_in_memory.Own_") and network_path(Own) == path
        assert network_builder(path, "target._target_") is Own

    def test_a_network_keeps_its_weights_and_is_copied(self) -> None:
        network = Own()
        path = network_path(network)
        build = network_builder(path, "target._target_")
        made, notes = fitted(build, (2,), 5, {})
        assert made is not network and notes == []
        assert all(map(torch.equal, made.parameters(), network.parameters()))
        changed, notes = fitted(build, (2,), 4, {})
        assert changed(torch.randn(1, 2)).shape == (1, 4) and network[1].out_features == 5
        assert notes == ["its last linear layer, 1, has 4 outputs in place of 5"]
        assert network_path(network) == path != network_path(Own())

    def test_what_no_file_has_is_known_by_name(self) -> None:
        path = network_path(Own(width=4))
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name)()[0].out_features == 4

    def test_something_else_is_one_line(self) -> None:
        with pytest.raises(UserError, match=r"^network=3: give a network, its class, or the path of that$"):
            network_path(3)

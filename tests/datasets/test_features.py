"""Features of a frozen network: the numbers that it computes, computed once, and errors of one line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import features
from hnet_cl.datasets._frozen import Frozen
from hnet_cl.datasets.base import Data, Dataset, Part, examples
from hnet_cl.datasets.features import Features
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import Normalize

NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.hidden = nn.Linear(4 * 4 * 4, 5)
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        return self.head(self.hidden(self.norm(self.conv(x)).flatten(1)).relu())

class Map(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 2, 3)

class Needy(nn.Module):
    def __init__(self, width):
        super().__init__()

class Twice(nn.Module):
    def forward(self, x):
        return x, x
"""
CPU = torch.device("cpu")


class Photos(Dataset):
    """Random images 6 x 6 of three classes, 150 for training (so in two batches) and 4 for testing."""

    class Settings(Dataset.Settings):
        augment: str
        seed: int

    num_classes = 3

    def load(self) -> Data:
        draws = torch.Generator().manual_seed(self.settings.seed)
        parts = [
            Part(
                torch.randint(256, (number, 3, 6, 6), generator=draws, dtype=torch.uint8),
                torch.randint(3, (number,), generator=draws),
            )
            for number in (150, 4)
        ]
        identity = DataIdentity("photos", "drawn", f"{self.settings.seed}", stand_in=self.settings.seed == 7)
        return Data(parts[0], parts[1], ["a", "b", "c"], identity, [[0, 1], [2]])

    def encoder(self, device: torch.device) -> Normalize:
        return Normalize.of((0.5,) * 3, (0.25,) * 3, device)

    @property
    def augment(self) -> Any:
        return None if self.settings.augment == "none" else lambda images, draws: images


@pytest.fixture(autouse=True)
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module with networks that can be imported."""
    (tmp_path / "frozen_networks.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    yield


def of_photos(folder: Path, seed: int = 1, augment: str = "none", **changes: Any) -> Features:
    of = {"_target_": f"{__name__}.Photos", "name": "photos", "augment": augment, "seed": seed}
    usual = {"name": "features", "network": "frozen_networks.Net", "weights": None, "layer": None, "size": None}
    settings = Features.Settings(**({"of": of} | usual | changes))
    settings.place("dataset")
    return Features(settings, folder / "data")


def net(seed: int) -> nn.Module:
    from frozen_networks import Net  # type: ignore[import-not-found]

    torch.manual_seed(seed)
    made: nn.Module = Net()
    made(torch.randn(8, 3, 6, 6))  # running statistics that are not the initial ones
    return made.eval()


def weights(folder: Path, seed: int, wrap: Any = lambda state: state) -> dict[str, str]:
    torch.save(wrap(net(seed).state_dict()), folder / "net.pt")
    return {"weights": str(folder / "net.pt")}


@pytest.mark.parametrize("layer", [None, "head", "conv"])
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"epoch": 3, "state": state}])
@torch.no_grad()
def test_what_the_layer_computes_of_every_example(layer: str | None, wrap: Any, tmp_path: Path) -> None:
    data = examples(of_photos(tmp_path, layer=layer, **weights(tmp_path, 5, wrap)))
    network, photos = net(5), of_photos(tmp_path).of
    for found, given in zip((data.train, data.test), _parts(photos), strict=True):
        inputs = photos.encoder(CPU)(given.images)
        maps = network.conv(inputs)  # type: ignore[operator]
        hidden = network.hidden(network.norm(maps).flatten(1)).relu()  # type: ignore[operator]
        expected = {None: hidden, "head": network(inputs), "conv": maps.flatten(1)}[layer]
        assert torch.allclose(found.images, expected, atol=1e-5) and found.images.dtype == torch.float32
        assert torch.equal(found.labels, given.labels)
    assert (data.class_names, data.groups) == (["a", "b", "c"], [[0, 1], [2]])


def _parts(dataset: Dataset) -> tuple[Part, Part]:
    data = dataset.load()
    return data.train, data.test


def test_they_are_computed_once_for_each_data_set_network_layer_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    class Counted(Frozen):
        def __call__(self, inputs: Tensor) -> Tensor:
            calls.append(len(inputs))
            return super().__call__(inputs)

    monkeypatch.setattr(features, "Frozen", Counted)
    seen = []
    given = weights(tmp_path, 5)
    for changes in (
        {},
        {"layer": "conv"},
        {"seed": 2},
        {"network": "frozen_networks.Map", "weights": None},
        {"network": "frozen_networks.Map", "weights": None, "size": 8},
    ):
        once, again = (of_photos(tmp_path, **(given | changes)).load() for _ in range(2))  # type: ignore[arg-type]
        assert torch.equal(once.train.images, again.train.images) and once.identity == again.identity
        seen.append(once.identity.checksum)
    weights(tmp_path, 6)  # the same file with other weights
    seen.append(of_photos(tmp_path, **given).load().identity.checksum)  # type: ignore[arg-type]
    assert len(set(seen)) == len(seen) == 6
    assert calls == [128, 22, 4] * 6


def test_without_weights_they_are_what_the_constructor_makes_the_same_each_time(tmp_path: Path) -> None:
    first = of_photos(tmp_path).load()
    torch.manual_seed(9)
    assert torch.equal(of_photos(tmp_path / "other").load().train.images, first.train.images)
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(9)))  # nothing was drawn


def test_maps_of_resized_images_become_vectors(tmp_path: Path) -> None:
    dataset = of_photos(tmp_path, network="frozen_networks.Map", size=10)
    assert examples(dataset).in_shape == (2 * 8 * 8,)
    assert dataset.num_classes == 3


def test_the_data_that_stand_in_are_said_to(tmp_path: Path) -> None:
    assert [of_photos(tmp_path, seed=seed).load().identity.stand_in for seed in (1, 7)] == [False, True]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"network": "resnet81"}, "dataset.network=resnet81: torchvision has no such network; did you mean resnet18? "),
        ({"network": "resnet18", "weights": "V3"}, "dataset.weights=V3: torchvision has no such weights of resnet18; "),
        ({"weights": "DEFAULT"}, "dataset.weights=DEFAULT: is a name of torchvision's weights, but dataset.network="),
        ({"network": "frozen_networks.Nat"}, "dataset.network=frozen_networks.Nat: cannot be imported ("),
        ({"network": "frozen_networks.torch"}, "dataset.network=frozen_networks.torch: is no subclass of "),
        (
            {"network": "frozen_networks.Needy"},
            "dataset.network=frozen_networks.Needy: cannot be built without arguments",
        ),
        (
            {"network": "frozen_networks.Twice"},
            "dataset.network=frozen_networks.Twice: cannot compute features of inputs",
        ),
        ({"layer": "haed"}, "dataset.layer=haed: no such layer; did you mean head? there are conv, head, hidden, norm"),
        ({"size": 9}, "dataset.network=frozen_networks.Net: cannot compute features of inputs of shape (3, 6, 6) ("),
        (
            {"weights": "nowhere.pt"},
            "dataset.weights=nowhere.pt: cannot be read (No such file or directory); give a file",
        ),
        ({"augment": "flip"}, "dataset.of.augment=flip: features are computed once, of images as they are; give none"),
    ],
)
def test_mistakes_are_one_line(changes: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        of_photos(tmp_path, **changes).load()
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda state: {"a": state, "b": state}, "holds 2 state dicts"),
        (lambda state: {"epoch": 3}, "holds 0 state dicts"),
        (
            lambda state: {"head.weight": torch.zeros(2, 5)},
            "are not the weights of frozen_networks.Net (Missing key(s)",
        ),
        (lambda state: nn.Linear(1, 1), "is damaged, or holds something else than tensors"),
    ],
)
def test_files_that_are_no_weights_of_the_network_are_one_line(content: Any, reason: str, tmp_path: Path) -> None:
    path = weights(tmp_path, 5, content)
    with pytest.raises(UserError) as caught:
        of_photos(tmp_path, **path).load()  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"dataset.weights={path['weights']}: {reason}")
    assert "\n" not in str(caught.value)


def test_torchvisions_own_networks(tmp_path: Path) -> None:
    data = of_photos(tmp_path, network="squeezenet1_1", size=32).load()
    assert data.train.images.shape == (150, 1000)  # without a linear layer: its output

"""Any data set of torchvision by its class: which images are for testing, how they are read, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hnet_cl.core.errors import UserError
from hnet_cl.datasets._torchvision import import_torchvision
from hnet_cl.datasets.base import examples
from hnet_cl.datasets.torchvision_sets import Torchvision

SETTINGS: dict[str, Any] = {
    "name": "torchvision",
    "of": "Fake",
    "size": 8,
    "splits": ["train", "test"],
    "arguments": None,
    "augment": "none",
    "normalize": False,
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a class of `torchvision_fakes` among torchvision's data sets, as Fake; returns it."""
    import torchvision_fakes

    known = torchvision_fakes.DATASETS

    def put(name: str) -> Any:
        kind = getattr(torchvision_fakes, name)
        monkeypatch.setattr(known, "Fake", kind, raising=False)
        monkeypatch.setattr(known, "__all__", (*known.__all__, "Fake"))
        return kind

    return put


def of(data_dir: Path, **changes: Any) -> Torchvision:
    return Torchvision(Torchvision.Settings(**(SETTINGS | changes)), data_dir)


def line(dataset: Torchvision) -> str:
    with pytest.raises(UserError) as caught:
        dataset.load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "changes"), [("Flags", {}), ("Divided", {"splits": ["trainval", "val"]})])
def test_images_by_the_class_s_own_halves(kind: str, changes: dict[str, Any], fake: Any, tmp_path: Path) -> None:
    fake(kind)
    data = examples(of(tmp_path, **changes))
    assert data.train.labels.tolist() == [0, 1, 2, 0] and data.test.labels.tolist() == [2, 1]
    assert data.in_shape == (3, 8, 8) == of(tmp_path).image_shape
    expected = torch.stack([100 * data.train.labels, torch.full((4,), 7), torch.full((4,), 9)], dim=1)
    assert torch.equal(data.train.images.int(), expected[..., None, None].expand(-1, -1, 8, 8).int())
    assert data.class_names == ["red", "green", "blue"]
    assert (data.identity.name, data.identity.source, data.identity.fixed) == ("Fake", "torchvision", False)


def test_where_torchvision_has_no_test_images_every_fifth_of_a_class_is_one(tmp_path: Path) -> None:
    given = {"size": 40, "num_classes": 3, "image_size": [3, 8, 8]}
    data = examples(of(tmp_path, of="FakeData", arguments=given))
    images = import_torchvision().datasets.FakeData(40, (3, 8, 8), 3)
    labels = [label for _, label in images]
    seen = dict.fromkeys(range(3), 0)
    halves: tuple[list[int], list[int]] = ([], [])
    for number, label in enumerate(labels):
        seen[label] += 1
        halves[seen[label] % 5 == 0].append(number)
    for part, numbers in zip((data.train, data.test), halves, strict=True):
        assert part.labels.tolist() == [labels[number] for number in numbers]
        first = torch.from_numpy(np.array(images[numbers[0]][0])).permute(2, 0, 1)
        assert torch.equal(part.images[0], first)
    assert data.class_names == ["0", "1", "2"]


def test_a_name_that_torchvision_has_not_is_refused(tmp_path: Path) -> None:
    for name in ("FGVCAircarft", "VisionDataset", "utils"):
        message = line(of(tmp_path, of=name))
        assert message.startswith(f"of={name}: torchvision has no such dataset; ")
    assert "did you mean FGVCAircraft?" in line(of(tmp_path, of="FGVCAircarft"))


def test_splits_that_the_class_has_not_are_refused_with_its_own_words(fake: Any, tmp_path: Path) -> None:
    fake("Divided")
    message = line(of(tmp_path))
    assert message.startswith("of=Fake with split=train: torchvision cannot read it from ")
    assert "Valid values are {'trainval', 'val'}" in message and "change splits or arguments" in message


def test_unknown_arguments_are_refused(fake: Any, tmp_path: Path) -> None:
    fake("Flags")
    message = line(of(tmp_path, arguments={"moed": "L"}))
    assert message.startswith("arguments.moed: Fake has no such argument; did you mean mode?")
    assert of(tmp_path, arguments={"mode": "L"}).load().train.images[1].unique().numel() == 1  # grey


def test_what_cannot_be_fetched_says_where_it_belongs(fake: Any, tmp_path: Path) -> None:
    fake("Flags")
    message = line(of(tmp_path / "nowhere"))
    assert f"torchvision cannot read it from {tmp_path / 'nowhere'} nor fetch it" in message
    assert "set data_dir (or HNET_CL_DATA)" in message


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ((Image.new("L", (3, 3)), (0, 1)), "is labelled by tuple, not by classes"),
        (("a.png", 0), "its example 0 cannot be read (it is a str, no image)"),
    ],
)
def test_what_is_no_classification_of_images_is_refused(
    pair: Any, reason: str, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake("Flags"), "__getitem__", lambda *_: pair)
    assert reason in line(of(tmp_path))


def test_arguments_that_are_passed_on_are_known(tmp_path: Path) -> None:
    message = line(of(tmp_path, of="EMNIST", arguments={"split": "lettres"}))
    assert "Valid values are" in message and "train=True" in message

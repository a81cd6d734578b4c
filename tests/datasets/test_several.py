"""Several datasets as one: images of one shape, labels that count on, and what cannot be joined."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from hnet_cl.core.chosen import Chosen
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.fitting import common_shape, fit
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import IMAGENET, Normalize, flip
from hnet_cl.datasets.several import Several


class Plates(Dataset):
    """Images of one brightness, 10 times their class, of any shape."""

    class Settings(Dataset.Settings):
        shape: list[int]
        classes: list[str]
        floats: bool = False
        normalize: bool = False
        flipped: bool = False

    def load(self) -> Data:
        labels = torch.arange(len(self.settings.classes))
        images = (10 * labels + 10).view(-1, *[1] * len(self.settings.shape)).expand(-1, *self.settings.shape)
        images = images.float() / 255 if self.settings.floats else images.to(torch.uint8)
        part = Part(images.contiguous(), labels)
        return Data(part, part, self.settings.classes, DataIdentity(self.settings.name, "here", "12", fixed=True))

    def encoder(self, device: torch.device) -> Any:
        return Normalize.of(*IMAGENET, device) if self.settings.normalize else super().encoder(device)

    @property
    def augment(self) -> Any:
        return flip if self.settings.flipped else None

    @property
    def image_shape(self) -> Any:
        shape = tuple(self.settings.shape)
        return shape if len(shape) == 3 else None

    @property
    def num_classes(self) -> int:
        return len(self.settings.classes)

    @property
    def num_examples(self) -> int:
        return 2 * self.num_classes


def plates(shape: list[int], classes: str = "ab", **more: Any) -> Chosen[Dataset]:
    return Chosen(Plates, Plates.Settings(name="plates", shape=shape, classes=list(classes), **more))


def several(size: int | None = None, enlarge: bool = False, **of: Chosen[Dataset]) -> Several:
    return Several(Several.Settings(name="several", of=of, order=list(of), size=size, enlarge=enlarge), Path("unused"))


def test_grey_and_colour_of_two_sizes() -> None:
    made = several(grey=plates([1, 2, 4], "ab"), colour=plates([3, 6, 5], "cde"))
    data = made.load()
    assert data.train.images.shape == (5, 3, 6, 5) and data.train.images.dtype == torch.uint8
    assert data.train.labels.tolist() == [0, 1, 2, 3, 4]
    assert data.class_names == ["grey a", "grey b", "colour c", "colour d", "colour e"]
    assert data.class_groups == [[0, 1], [2, 3, 4]]
    first = data.test.images[1]
    assert torch.equal(first[:, 2:4, :4], torch.full((3, 2, 4), 20, dtype=torch.uint8))
    assert first.count_nonzero() == 24 and bool((data.test.images[4] == 30).all())
    assert made.image_shape == (3, 6, 5) and made.num_classes == 5 and made.num_examples == 10
    assert made.memory() == 10 * 90
    assert data.identity.name == "plates + plates" and data.identity.source == "here" and data.identity.fixed
    assert data.identity.checksum != several(colour=plates([3, 6, 5])).load().identity.checksum


def test_the_order_is_that_of_the_settings() -> None:
    of = {"a": plates([1, 2, 2]), "b": plates([1, 2, 2], "xyz")}
    settings = Several.Settings(name="several", of=of, order=["b", "a"], size=None, enlarge=False)
    assert Several(settings, Path("unused")).load().class_names == ["b x", "b y", "b z", "a a", "a b"]


def test_float_and_byte_images_become_floats() -> None:
    images = several(one=plates([1, 2, 2], floats=True), other=plates([1, 2, 2])).load().train.images
    assert images.dtype == torch.float32 and torch.equal(images[:2], images[2:])


def test_fitting() -> None:
    image = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    assert torch.equal(fit(image, (1, 4, 4), True), image)
    assert torch.equal(fit(image, (1, 7, 6), False)[..., 1:5, 1:5], image)
    smaller = fit(torch.full((2, 1, 8, 4), 200, dtype=torch.uint8), (3, 4, 4), False)
    assert smaller.shape == (2, 3, 4, 4) and smaller.dtype == torch.uint8
    assert bool((smaller[..., 1:3] == 200).all()) and smaller.count_nonzero() == 2 * 3 * 4 * 2
    larger = fit(torch.full((1, 1, 2, 2), 0.5), (1, 4, 6), True)
    assert torch.allclose(larger[..., 1:5], torch.tensor(0.5)) and larger.count_nonzero() == 16
    halves = torch.tensor([[0.0, 1.0]]).repeat(2, 2).view(1, 1, 2, 4)
    assert torch.allclose(fit(halves, (1, 1, 2), False).mean(), halves.mean())
    assert common_shape([(1, 28, 28), (3, 32, 20)], None) == (3, 32, 28)
    assert common_shape([(1, 28, 28)], 16) == (1, 16, 16)


def test_vectors_of_one_length() -> None:
    data = several(one=plates([3]), other=plates([3], "xyz")).load()
    assert data.train.images.shape == (5, 3) and data.train.labels.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ([plates([3]), plates([4])], r"of: only images can be brought to one shape; there are a \(3,\), b \(4,\)"),
        ([plates([3]), plates([1, 2, 2])], "of: only images can be brought to one shape"),
        ([plates([3, 2, 2]), plates([3, 2, 2], normalize=True)], r"of\.b: normalises its inputs, and those of several"),
    ],
)
def test_what_cannot_be_joined(parts: list[Chosen[Dataset]], line: str) -> None:
    with pytest.raises(UserError, match=f"^{line}"):
        several(a=parts[0], b=parts[1]).load()


def test_augmentations_must_be_alike() -> None:
    both = several(a=plates([1, 2, 2], flipped=True), b=plates([1, 2, 2], flipped=True))
    assert both.augment is flip
    with pytest.raises(UserError, match=r"^of: a, b are augmented in different ways; make these alike$"):
        assert several(a=plates([1, 2, 2], flipped=True), b=plates([1, 2, 2])).augment


@pytest.mark.parametrize(
    ("of", "order", "line"),
    [
        ({}, [], r"of=\{\}: no data sets are chosen; give some, as dataset=\[mnist,fashion_mnist\]"),
        ({"a": plates([3])}, ["b"], r"order=\['b'\]: give each of a once"),
        ({"a": plates([3])}, ["a", "a"], r"order=\['a', 'a'\]: give each of a once"),
    ],
)
def test_every_dataset_has_one_place(of: dict[str, Any], order: list[str], line: str) -> None:
    with pytest.raises(ValidationError, match=line):
        Several.Settings(name="several", of=of, order=order, size=None, enlarge=False)

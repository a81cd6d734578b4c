"""The interface of datasets: labelled examples, and how they become network inputs. Independent of tasks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import Encoder, Scale

NAMED_IN_FULL = 3  # classes; if there are more, only the first and the last are named


class Part(NamedTuple):
    """Training or test examples: `images` (n, ...), of type uint8 or float32, and `labels` int64 (n,).

    Images are (n, C, H, W), with values 0..255 for uint8 and 0..1 for float32. Examples with another number of
    dimensions, such as vectors (n, d), are not images.
    """

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Data:
    """All examples of a dataset, on the CPU.

    Attributes:
        train: training examples.
        test: test examples of the same shape.
        class_names: (C,) distinct names of the labels 0..C-1.
        identity: name, source and checksum of the data.
        groups: groups of classes that a task should not mix, e.g. by origin; None if a task may mix all classes.
    """

    train: Part
    test: Part
    class_names: Sequence[str]
    identity: DataIdentity
    groups: Sequence[Sequence[int]] | None = None

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Returns the shape of one example."""
        return tuple(self.train.images.shape[1:])

    @property
    def are_images(self) -> bool:
        """Tells whether examples are images, with channels, height and width."""
        return len(self.in_shape) == 3

    @property
    def class_groups(self) -> list[list[int]]:
        """Returns the classes of each group that have both training and test examples, in the group's order."""
        both = set(self.train.labels.tolist()) & set(self.test.labels.tolist())
        groups = [range(len(self.class_names))] if self.groups is None else self.groups
        return [[label for label in group if label in both] for group in groups]


class Dataset(ABC):
    """The base class of datasets. A subclass defines its own `Settings`, and `load`.

    Args:
        settings: an instance of the subclass's own `Settings`.
        data_dir: the folder for data files. The constructor reads none of them: everything but `load` must depend on
            the settings alone.
    """

    class Settings(base.Settings):
        name: str

    def __init__(self, settings: Any, data_dir: Path) -> None:
        self.settings = settings
        self.data_dir = data_dir

    @abstractmethod
    def load(self) -> Data:
        """Reads the examples, after fetching them if necessary.

        Raises:
            UserError: files are damaged, or missing and cannot be fetched.
        """

    def encoder(self, device: torch.device) -> Encoder:
        """Returns the encoder that turns examples on the device into float32 network inputs of the same shape."""
        return Scale()

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        """Returns the augmentation of a batch of training examples; None for no augmentation."""
        return None

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """Returns the shape (C, H, W) of all images, with one channel (grey) or three (RGB).

        None if examples are not images, or if the shape is known only from the files. A trained network can classify
        image files of this shape.
        """
        return None

    @property
    def decoder(self) -> Callable[[bytes], Tensor] | None:
        """Returns a function that brings an image file to uint8 (1, C, H, W) as `load` does; None if there is none."""
        return None

    @property
    def num_classes(self) -> int | None:
        """Returns the largest possible number of classes; None if it is known only from the files."""
        return None

    @property
    def num_examples(self) -> int:
        """Returns a lower bound on the number of examples that follows from the settings alone."""
        return 0

    def memory(self) -> int:
        """Returns a lower bound on the bytes of memory that the examples take, from the settings alone."""
        return self.num_examples * prod(self.image_shape or (1,))

    def called(self, classes: Sequence[str]) -> str:
        """Returns a name for a task with classes of these names."""
        if len(classes) > NAMED_IN_FULL:
            return f"{classes[0]} to {classes[-1]}"
        return ", ".join(classes)


def examples(dataset: Dataset) -> Data:
    """Loads a dataset and checks what its `load` returns.

    Raises:
        UserError: the data cannot be loaded, or do not conform to `Data`; for the latter the message names the
            dataset.
    """
    data = dataset.load()
    where = f"dataset={dataset.settings.name}"
    if not isinstance(data, Data):
        raise UserError(f"{where}: load() returns a {type(data).__name__}; expected a Data")
    for part, called in ((data.train, "training data"), (data.test, "test data")):
        _check_part(part, f"{where}: {called}", len(data.class_names))
    shapes = [tuple(part.images.shape[1:]) for part in (data.train, data.test)]
    if shapes[0] != shapes[1]:
        raise UserError(f"{where}: training data of shape {shapes[0]}, test data of shape {shapes[1]}; make them alike")
    return data


def _check_part(part: Part, where: str, classes: int) -> None:
    images, labels = part
    if images.dtype not in (torch.uint8, torch.float32):
        raise UserError(f"{where} are {images.dtype}; expected torch.uint8 (0 to 255) or torch.float32")
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise UserError(
            f"{where}: {len(images)} examples and labels {labels.dtype} of shape {tuple(labels.shape)}; expected an "
            "int64 for each"
        )
    if len(labels) == 0:
        raise UserError(f"{where} are empty; expected at least one example")
    low, high = (number.item() for number in labels.aminmax())
    if low < 0 or high >= classes:
        raise UserError(f"{where}: labels from {low} to {high}, and {classes} class_names; expected 0 to {classes - 1}")

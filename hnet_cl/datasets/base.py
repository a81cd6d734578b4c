"""What a dataset is: arrays with labels, and how they become inputs of a network. It knows no task."""

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

NAMED_IN_FULL = 3  # classes; of more, the first and the last


class Part(NamedTuple):
    """Training or test examples: `images` (n, ...), of type uint8 or float32, and `labels` int64 (n,).

    Images are (n, C, H, W); uint8 means 0..255, float32 means 0..1. Whatever has other dimensions is no image: vectors
    are (n, d).
    """

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Data:
    """All examples of a dataset, on the CPU.

    Attributes:
        train: examples to learn from.
        test: examples of the same shape to test with.
        class_names: (C,) what to call the labels 0..C-1, each another name.
        identity: which data they are.
        groups: classes by where they come from, if a task should not mix these; None if it may mix all.
    """

    train: Part
    test: Part
    class_names: Sequence[str]
    identity: DataIdentity
    groups: Sequence[Sequence[int]] | None = None

    @property
    def in_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.train.images.shape[1:])

    @property
    def are_images(self) -> bool:
        """Whether an example has channels, height and width."""
        return len(self.in_shape) == 3

    @property
    def class_groups(self) -> list[list[int]]:
        """The classes that have examples of both kinds, in ascending order, by group."""
        both = set(self.train.labels.tolist()) & set(self.test.labels.tolist())
        groups = [range(len(self.class_names))] if self.groups is None else self.groups
        return [[label for label in group if label in both] for group in groups]


class Dataset(ABC):
    """Where examples come from. A subclass gives `Settings` of its own, and `load`.

    Args:
        settings: an instance of the subclass's own `Settings`.
        data_dir: where data files lie or are put. The constructor reads none of them: what is asked without `load`
            must follow from the settings alone.
    """

    class Settings(base.Settings):
        name: str

    def __init__(self, settings: Any, data_dir: Path) -> None:
        self.settings = settings
        self.data_dir = data_dir

    @abstractmethod
    def load(self) -> Data:
        """Reads the examples; fetches them if need be.

        Raises:
            UserError: files are missing, damaged, or not to be had.
        """

    def encoder(self, device: torch.device) -> Encoder:
        """Returns what turns examples on the device into inputs float32 of the same shape."""
        return Scale()

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        """What varies a batch of examples that is learned from; None for nothing."""
        return None

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(C, H, W) of all images, with one channel (grey) or three (RGB); None if they are none, or only files tell.

        A trained network can be asked about image files of this shape.
        """
        return None

    @property
    def num_classes(self) -> int | None:
        """How many classes there are at most; None if only files tell."""
        return None

    @property
    def num_examples(self) -> int:
        """How many examples there are at least, as far as the settings alone tell."""
        return 0

    def memory(self) -> int:
        """Returns how many bytes the examples take at least, as far as the settings alone tell."""
        return self.num_examples * prod(self.image_shape or (1,))

    def called(self, classes: Sequence[str]) -> str:
        """Returns what to call a task of these classes, given by their names."""
        if len(classes) > NAMED_IN_FULL:
            return f"{classes[0]} to {classes[-1]}"
        return ", ".join(classes)


def examples(dataset: Dataset) -> Data:
    """Loads a dataset and looks at what it gives.

    Raises:
        UserError: the data cannot be had, or are not what `Data` says; the line names the dataset.
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

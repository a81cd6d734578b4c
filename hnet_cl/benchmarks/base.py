"""What a benchmark is: a fixed sequence of classification tasks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from hnet_cl.errors import UserError
from hnet_cl.seeding import stream
from hnet_cl.settings import Settings


@dataclass(frozen=True)
class Split:
    """Images and labels of one half (train or test) of a task, kept as tensors on the device.

    `images` (m, ...) may be shared between tasks; `prepare` turns a batch of them (b, ...) into network
    inputs (b, *in_shape) of type float32. `labels` (n,) are int64 in 0..C-1 *within* the task. `rows` (n,) are the
    images that belong to the split, in the labels' order; None for all of them.
    """

    images: Tensor
    labels: Tensor
    prepare: Callable[[Tensor], Tensor]
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Inputs (b, *in_shape) and labels (b,) of the examples at `index`."""
        return self.prepare(self.images[index if self.rows is None else self.rows[index]]), self.labels[index]

    def part(self, index: Tensor) -> "Split":
        """The examples at `index` as a split of their own, which shares the images."""
        rows = index if self.rows is None else self.rows[index]
        return Split(self.images, self.labels[index], self.prepare, rows)


@dataclass(frozen=True)
class Task:
    """One task of a sequence: `id` counts from 0; `name` and `class_names` (C,) are for people.

    Classes without names are called by their labels. `picture` turns network inputs (b, *in_shape) into images
    (b, C, H, W) in 0..1 for people to see; None where inputs are no images.
    """

    id: int
    name: str
    train: Split
    test: Split
    num_classes: int
    picture: Callable[[Tensor], Tensor] | None = None
    class_names: Sequence[str] | None = None

    @property
    def classes(self) -> list[str]:
        """(C,) what to call the classes."""
        return list(self.class_names or map(str, range(self.num_classes)))

    @property
    def majority(self) -> float:
        """Test accuracy of always answering the most frequent test label (a fraction)."""
        counts = torch.bincount(self.test.labels, minlength=self.num_classes)
        return counts.max().item() / len(self.test)


def hold_out(tasks: Sequence[Task], share: float, seed: int) -> list[Task]:
    """The tasks with a random `share` of each one's training data in place of its test data, and less to train on.

    For choosing hyperparameters without a look at test data. Which examples are held out is a stream of `seed`, the
    same for all tasks: where they share images, none is trained on in one task and held out in another.

    Raises:
        UserError: nothing would be left to train on or to test on.
    """
    held = []
    for task in tasks:
        size = len(task.train)
        number = round(share * size)
        if not 0 < number < size:
            raise UserError(
                f"training.validation={share}: holds out {number} of {task.name}'s {size} training examples"
            )
        order = torch.randperm(size, generator=stream(seed, "validation")).to(task.train.labels.device)
        validation, rest = order.split([number, size - number])
        held.append(replace(task, train=task.train.part(rest), test=task.train.part(validation)))
    return held


@dataclass(frozen=True)
class DataIdentity:
    """Which data were used: `name` (e.g. mnist, mnist-5k), where they came from, and their checksum."""

    name: str
    source: str
    checksum: str


@dataclass(frozen=True)
class ImageKind:
    """A kind of images that become network inputs.

    `encode` turns them, uint8 (b, `channels`, `height`, `width`) on the CPU with one channel (grey) or three (RGB),
    into inputs float32 (b, *in_shape). `of_task`: how it does so depends on the task.
    """

    channels: int
    height: int
    width: int
    encode: Callable[[Tensor], Tensor]
    of_task: bool = False


class Benchmark(ABC):
    """A sequence of tasks. Subclasses set `tasks`, `data` and `in_shape` in their constructor.

    Args of every constructor:
        settings: an instance of the subclass's own `Settings`.
        data_dir: where data files lie or are put.
        device: where the tasks' tensors live.
    """

    Settings: ClassVar[type[Settings]]
    tasks: Sequence[Task]
    data: DataIdentity
    in_shape: tuple[int, ...]

    @abstractmethod
    def __init__(self, settings: Any, data_dir: Path, device: torch.device) -> None: ...

    @classmethod
    def image_kinds(cls, settings: Any, task: int | None) -> Sequence[ImageKind]:
        """Images of which a trained network can be asked; of several of a size the first counts.

        They become the same inputs as the benchmark's own, from its `settings` alone. `task` is None where it is not
        told. Without this method, only ready network inputs can be classified.
        """
        return ()

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Number of classes of each task."""
        return tuple(task.num_classes for task in self.tasks)

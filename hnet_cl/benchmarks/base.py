"""What a benchmark is: a fixed sequence of classification tasks."""

import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.core.settings import Settings
from hnet_cl.datasets.base import Dataset, Part
from hnet_cl.datasets.identity import DataIdentity


@dataclass(frozen=True)
class Split:
    """Images and labels of one half (train or test) of a task, kept as tensors on the device.

    `images` (m, ...) may be shared between tasks; `prepare` turns a batch of them (b, ...) into network
    inputs (b, *in_shape) of type float32. `labels` (n,) are int64 in 0..C-1 *within* the task. `rows` (n,) are the
    images that belong to the split, in the labels' order; None for all of them. `augment`, where there is one, varies
    a batch of images that is learned from.
    """

    images: Tensor
    labels: Tensor
    prepare: Callable[[Tensor], Tensor]
    rows: Tensor | None = None
    augment: Callable[[Tensor, Generator], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice, rng: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Inputs (b, *in_shape) and labels (b,) of the examples at `index`; with `rng`, augmented by them."""
        images = self.images[index if self.rows is None else self.rows[index]]
        if self.augment and rng is not None:
            images = self.augment(images, rng)
        return self.prepare(images), self.labels[index]

    def part(self, index: Tensor) -> "Split":
        """The examples at `index` as a split of their own, which shares the images."""
        rows = index if self.rows is None else self.rows[index]
        return replace(self, labels=self.labels[index], rows=rows)


class TrainingData(typing.Protocol):
    """Examples that a learner learns from."""

    def __len__(self) -> int:
        """Returns the number of examples."""

    def batch(self, index: Tensor, rng: Generator | None = None) -> tuple[Tensor, ...]:
        """Returns what one step is given of the examples at `index` (b,): inputs, labels, and perhaps their tasks."""


class TasksTogether:
    """The training examples of several tasks, one after another, each with its task.

    Args:
        tasks: ids count from 0.
    """

    def __init__(self, tasks: Sequence["Task"]) -> None:
        self._splits = [task.train for task in tasks]
        self._ends = torch.tensor([len(split) for split in self._splits]).cumsum(0)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def batch(self, index: Tensor, rng: Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns inputs (b, *in_shape), labels (b,) within the tasks and the tasks (b,) of the examples at `index`.

        They come in the order of their tasks; with `rng`, augmented by them.
        """
        place = index.cpu()
        owner = torch.searchsorted(self._ends, place, right=True)
        parts = []
        for task in owner.unique().tolist():
            split = self._splits[task]
            own = (place[owner == task] - (self._ends[task] - len(split))).to(index.device)
            inputs, labels = split.batch(own, rng)
            parts.append((inputs, labels, torch.full_like(labels, task)))
        inputs, labels, tasks = (torch.cat(part) for part in zip(*parts, strict=True))
        return inputs, labels, tasks


@dataclass(frozen=True)
class Task:
    """One task of a sequence: `id` counts from 0; `name` and `class_names` (C,) are for people.

    Classes without names are called by their labels. `picture` turns network inputs (b, *in_shape) into images
    (b, C, H, W) in 0..1 for people to see; None where inputs are no images. `validation` are examples that the
    benchmark itself puts aside for choosing settings.
    """

    id: int
    name: str
    train: Split
    test: Split
    num_classes: int
    validation: Split | None = None
    picture: Callable[[Tensor], Tensor] | None = None
    class_names: Sequence[str] | None = None

    @property
    def classes(self) -> list[str]:
        """(C,) what to call the classes."""
        return list(self.class_names or map(str, range(self.num_classes)))

    @property
    def majority(self) -> float:
        """Test accuracy (a fraction) of always answering the label that is most frequent in the data to learn from.

        The test labels have no say in it: with few of them, the most frequent one is an answer nobody could know.
        """
        known = [self.train.labels] if self.validation is None else [self.train.labels, self.validation.labels]
        label = torch.cat(known).bincount(minlength=self.num_classes).argmax()
        return (self.test.labels == label).sum().item() / len(self.test)


def independent_examples(tasks: Sequence[Task]) -> list[float]:
    """How many independent test examples the mean accuracy over the first 1, 2, ... tasks rests on, (T,).

    The mean of k accuracies on n_1, ..., n_k examples varies as one on k^2 / (1/n_1 + ... + 1/n_k) does: all of them
    if the tasks are of one size. Tasks that are tested on the same images (permuted pixels) may fail on the same ones,
    and count as one.
    """
    numbers: list[float] = []
    tested: list[Split] = []
    shared: list[int] = []  # tasks tested on the images of each entry of `tested`
    for done, task in enumerate(tasks, start=1):
        same = (i for i, other in enumerate(tested) if _same_examples(other, task.test))
        place = next(same, len(tested))
        if place == len(tested):
            tested.append(task.test)
            shared.append(0)
        shared[place] += 1
        variance = sum((k / done) ** 2 / len(split) for k, split in zip(shared, tested, strict=True))
        numbers.append(1 / variance)
    return numbers


def _same_examples(one: Split, other: Split) -> bool:
    if one.images is not other.images:
        return False
    if one.rows is None or other.rows is None:
        return one.rows is other.rows
    return torch.equal(one.rows, other.rows)


def hold_out(tasks: Sequence[Task], share: float, seed: int) -> list[Task]:
    """The tasks with a random `share` of each one's training data in place of its test data, and less to train on.

    For choosing hyperparameters without a look at test data. A task with validation data of its own is tested on
    those, and `share` does not matter. Which examples are held out is a stream of `seed`, the
    same for all tasks: where they share images, none is trained on in one task and held out in another.

    Raises:
        UserError: nothing would be left to train on or to test on.
    """
    held = []
    for task in tasks:
        if task.validation is not None:
            held.append(replace(task, test=task.validation, validation=None))
            continue
        size = len(task.train)
        number = round(share * size)
        if not 0 < number < size:
            raise UserError(
                f"training.validation={share}: holds out {number} of {task.name}'s {size} training examples"
            )
        order = torch.randperm(size, generator=stream(seed, Stream.VALIDATION)).to(task.train.labels.device)
        validation, rest = order.split([number, size - number])
        held.append(replace(task, train=task.train.part(rest), test=task.train.part(validation)))
    return held


def shuffled(tasks: Sequence[Task], seed: int) -> list[Task]:
    """The tasks in an order drawn from `seed`, numbered anew."""
    return [replace(tasks[old], id=new) for new, old in enumerate(shuffled_order(len(tasks), seed))]


def shuffled_order(number: int, seed: int) -> list[int]:
    """For each of `number` tasks as they are learned, its place in the benchmark."""
    order: list[int] = torch.randperm(number, generator=stream(seed, Stream.TASK_ORDER)).tolist()
    return order


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

    One that makes its tasks of a dataset is a `Protocol`; all others have data of their own, as `toy`.

    Args of every constructor:
        settings: an instance of the subclass's own `Settings`.
        dataset: an instance of `made_of`, nothing of which has been read; None if that is None.
        device: where the tasks' tensors live.
    """

    Settings: ClassVar[type[Settings]]
    made_of: ClassVar[type[Dataset] | None] = None
    tasks: Sequence[Task]
    data: DataIdentity
    in_shape: tuple[int, ...]

    @abstractmethod
    def __init__(self, settings: Any, dataset: Any, device: torch.device) -> None: ...

    @classmethod
    def memory(cls, settings: Any, dataset: Any) -> int:
        """Bytes that the data take at least, as far as the settings alone tell; asked before any is taken."""
        return 0

    @classmethod
    def unsupported(cls, settings: Any, dataset: Any) -> str | None:
        """Returns why there are no such tasks, as far as the settings alone tell, with what to do; None if there are.

        Names of keys with their values, as `num_tasks=3`, are shown as typed.
        """
        return None

    @classmethod
    def image_kinds(cls, settings: Any, dataset: Any, task: int | None) -> Sequence[ImageKind]:
        """Images of which a trained network can be asked; of several of a size the first counts.

        They become the same inputs as the benchmark's own, from the settings alone. `task` is None where it is not
        told. Without this method, only ready network inputs can be classified.
        """
        return ()

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Number of classes of each task."""
        return tuple(task.num_classes for task in self.tasks)


class Protocol(Benchmark):
    """A benchmark that makes its tasks of a dataset: of any, or of those derived from another `made_of`."""

    made_of: ClassVar[type[Dataset] | None] = Dataset

    @classmethod
    def memory(cls, settings: Any, dataset: Any) -> int:
        """Those of the dataset: the tasks share them."""
        size: int = dataset.memory()
        return size


def select(part: Part, own: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns the rows (n,) of the examples of the classes `own`, in their order, and labels (n,): `own[c]` gets c."""
    position = torch.full((int(part.labels.max()) + 1 + max(own),), -1)
    position[list(own)] = torch.arange(len(own))
    labels = position[part.labels]
    rows = (labels >= 0).nonzero()[:, 0]
    return rows.to(device), labels[rows].to(device)

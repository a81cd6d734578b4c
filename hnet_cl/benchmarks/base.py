"""The interface of benchmarks: a benchmark is a fixed sequence of tasks, of classification or of regression."""

import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.core.scores import ACCURACY, Kind, Score
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.core.settings import Settings
from hnet_cl.datasets.base import Dataset
from hnet_cl.datasets.identity import DataIdentity


@dataclass(frozen=True)
class Split:
    """The training, validation or test examples of a task, as tensors on the device.

    Attributes:
        images: (m, ...), may be shared between tasks.
        labels: (n,) int64 in 0..C-1 *within* the task; in regression (n, C) float32.
        prepare: turns a batch of images (b, ...) into float32 network inputs (b, *in_shape).
        rows: (n,) int64 indices into `images` of the split's examples, in the order of `labels`; None for all images.
        augment: augments a batch of training images, with random numbers from the generator; None for no augmentation.
    """

    images: Tensor
    labels: Tensor
    prepare: Callable[[Tensor], Tensor]
    rows: Tensor | None = None
    augment: Callable[[Tensor, Generator], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice, rng: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Returns inputs (b, *in_shape) and labels (b,) of the examples at `index`, augmented if `rng` is given."""
        images = self.images[index if self.rows is None else self.rows[index]]
        if self.augment and rng is not None:
            images = self.augment(images, rng)
        return self.prepare(images), self.labels[index]

    def part(self, index: Tensor) -> "Split":
        """Returns a split of the examples at `index`, which shares the images."""
        rows = index if self.rows is None else self.rows[index]
        return replace(self, labels=self.labels[index], rows=rows)


class TrainingData(typing.Protocol):
    """Examples that a learner is trained on."""

    def __len__(self) -> int:
        """Returns the number of examples."""

    def batch(self, index: Tensor, rng: Generator | None = None) -> tuple[Tensor, ...]:
        """Returns what a step needs of the examples at `index` (b,): inputs, labels, and optionally task ids."""


class TasksTogether:
    """The concatenated training examples of several tasks, each with its task id.

    Args:
        tasks: the tasks, with ids 0, 1, ... in order.
    """

    def __init__(self, tasks: Sequence["Task"]) -> None:
        self._splits = [task.train for task in tasks]
        self._ends = torch.tensor([len(split) for split in self._splits]).cumsum(0)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def batch(self, index: Tensor, rng: Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns inputs (b, *in_shape), labels (b,) within the tasks and task ids (b,) of the examples at `index`.

        They are sorted by task, and augmented if `rng` is given.
        """
        place = index.cpu()
        owner = torch.searchsorted(self._ends, place, right=True)
        parts = []
        for task in owner.unique().tolist():
            split = self._splits[task]
            own = (place[owner == task] - (self._ends[task] - len(split))).to(index.device)
            inputs, labels = split.batch(own, rng)
            parts.append((inputs, labels, torch.full((len(labels),), task, device=labels.device)))
        inputs, labels, tasks = (torch.cat(part) for part in zip(*parts, strict=True))
        return inputs, labels, tasks


@dataclass(frozen=True)
class Task:
    """One task of a sequence.

    Attributes:
        id: number of the task, from 0.
        name: for display.
        train: training examples.
        test: test examples.
        num_classes: number of classes C; in regression, of the numbers that are predicted.
        validation: examples that the benchmark itself sets aside for choosing hyperparameters; None if it does not.
        picture: turns network inputs (b, *in_shape) into images (b, C, H, W) in 0..1 for display; None if inputs are
            not images.
        class_names: (C,) for display; None to name classes by their labels.
        kind: what the labels are.
    """

    id: int
    name: str
    train: Split
    test: Split
    num_classes: int
    validation: Split | None = None
    picture: Callable[[Tensor], Tensor] | None = None
    class_names: Sequence[str] | None = None
    kind: Kind = "classification"

    @property
    def classes(self) -> list[str]:
        """Returns the names (C,) of the classes."""
        return list(self.class_names or map(str, range(self.num_classes)))

    @property
    def majority(self) -> float:
        """Computes the test accuracy (a fraction) of always predicting the most frequent label of the training data.

        Validation data count as training data. Test labels are not used to choose the label, as a predictor does not
        know which of them is the most frequent.
        """
        known = [self.train.labels] if self.validation is None else [self.train.labels, self.validation.labels]
        label = torch.cat(known).bincount(minlength=self.num_classes).argmax()
        return (self.test.labels == label).sum().item() / len(self.test)


def independent_examples(tasks: Sequence[Task]) -> list[float]:
    """Computes the effective number (T,) of independent test examples behind the mean accuracy over 1, ..., T tasks.

    The mean of k accuracies on n_1, ..., n_k examples has the variance of one accuracy on k^2 / (1/n_1 + ... + 1/n_k)
    examples, which is the total number if all tasks have the same size. Tasks that are tested on the same images
    (permuted pixels) may fail on the same ones, and count as one.
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
    """Returns the tasks with a random `share` of their training data as test data, and the rest as training data.

    This allows hyperparameters to be chosen without test data. A task with its own validation data is tested on
    these, regardless of `share`. The held-out examples are drawn from the same random stream of `seed` for all tasks:
    if tasks share images, none is trained on in one task and held out in another.

    Raises:
        UserError: no examples would be left to train on or to test on.
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
    """Returns the tasks in an order drawn from `seed`, renumbered from 0."""
    return [replace(tasks[old], id=new) for new, old in enumerate(shuffled_order(len(tasks), seed))]


def shuffled_order(number: int, seed: int) -> list[int]:
    """Returns the index in the benchmark of each of `number` tasks, in the order in which they are learned."""
    order: list[int] = torch.randperm(number, generator=stream(seed, Stream.TASK_ORDER)).tolist()
    return order


@dataclass(frozen=True)
class ImageKind:
    """A kind of images that a trained network can classify.

    Attributes:
        channels: one (grey) or three (RGB).
        height: in pixels.
        width: in pixels.
        encode: turns uint8 images (b, channels, height, width) on the CPU into float32 inputs (b, *in_shape).
        of_task: whether `encode` depends on the task.
        decode: turns an image file of any size into pixels (1, channels, height, width), as for training; None if files
            must have the right size. Raises `UnusableError`.
    """

    channels: int
    height: int
    width: int
    encode: Callable[[Tensor], Tensor]
    of_task: bool = False
    decode: Callable[[bytes], Tensor] | None = None


class Benchmark(ABC):
    """A sequence of tasks. Subclasses set `tasks`, `data` and `in_shape` in their constructor.

    A benchmark that makes its tasks from a dataset is a `Protocol`; the others, such as `toy`, have their own data.

    Args of every constructor:
        settings: an instance of the subclass's own `Settings`.
        dataset: an instance of `made_of` whose data are not loaded yet; None if `made_of` is None.
        device: the device of the tasks' tensors.
    """

    Settings: ClassVar[type[Settings]]
    made_of: ClassVar[type[Dataset] | None] = None
    score: ClassVar[Score] = ACCURACY  # that learners are judged by; of the tasks' kind
    tasks: Sequence[Task]
    data: DataIdentity
    in_shape: tuple[int, ...]

    @abstractmethod
    def __init__(self, settings: Any, dataset: Any, device: torch.device) -> None: ...

    @classmethod
    def memory(cls, settings: Any, dataset: Any) -> int:
        """Returns a lower bound on the bytes that the data take, from the settings alone; called before loading."""
        return 0

    @classmethod
    def unsupported(cls, settings: Any, dataset: Any) -> str | None:
        """Returns why such tasks cannot be made, and what to do, as far as the settings alone show; None if they can.

        Keys in the message are written with their values, e.g. `num_tasks=3`, so that they can be shown as typed.
        """
        return None

    @classmethod
    def image_kinds(cls, settings: Any, dataset: Any, task: int | None) -> Sequence[ImageKind]:
        """Returns the kinds of images that a trained network can classify; of several with one size the first counts.

        Encoding must give the same inputs as for the benchmark's own images, and depend on the settings alone. `task`
        is None if the task is not given. Without this method, only finished network inputs can be classified.
        """
        return ()

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Returns the number of classes of each task."""
        return tuple(task.num_classes for task in self.tasks)


class Protocol(Benchmark):
    """A benchmark that makes its tasks from a dataset: any, or only instances of a narrower class `made_of`."""

    made_of: ClassVar[type[Dataset] | None] = Dataset

    @classmethod
    def memory(cls, settings: Any, dataset: Any) -> int:
        """Returns the bytes of the dataset, which the tasks share."""
        size: int = dataset.memory()
        return size

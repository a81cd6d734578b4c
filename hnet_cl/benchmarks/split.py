"""Split classes: every task has different classes of a dataset."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from hnet_cl.benchmarks.base import ImageKind, Protocol, Split, Task, select
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.base import Data, Dataset, examples

CPU = torch.device("cpu")


class SplitClasses(Protocol):
    """Tasks of `classes_per_task` classes each, dealt out one after another; labels 0..C-1 in each task.

    Classes are in ascending order, or with `shuffle_classes` in an order drawn from `seed`. With `num_tasks` None there
    are as many tasks as the classes allow; remaining classes, too few for a task, are left out. No task mixes
    `Data.class_groups`. The protocol of Zenke, Poole & Ganguli, ICML 2017; split MNIST and split CIFAR of von Oswald et
    al., "Continual learning with hypernetworks", ICLR 2020.

    Raises:
        UserError: the data cannot be loaded, or have too few classes.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: base.TaskCount | None
        classes_per_task: int = Field(ge=2, le=10_000)
        shuffle_classes: bool
        seed: int

    def __init__(self, settings: Settings, dataset: Dataset, device: torch.device) -> None:
        data = examples(dataset)
        self.data = data.identity
        self.in_shape = data.in_shape
        prepare = dataset.encoder(device)
        train, test = data.train.images.to(device), data.test.images.to(device)
        self.tasks = []
        for number, own in enumerate(_dealt(data, settings)):
            rows, labels = select(data.train, own, device)
            test_rows, test_labels = select(data.test, own, device)
            names = [data.class_names[label] for label in own]
            self.tasks.append(
                Task(
                    id=number,
                    name=dataset.called(names),
                    train=Split(train, labels, prepare, rows, dataset.augment),
                    test=Split(test, test_labels, prepare, test_rows),
                    num_classes=len(own),
                    picture=prepare.undo if data.are_images else None,
                    class_names=names,
                )
            )

    @classmethod
    def unsupported(cls, settings: Any, dataset: Dataset) -> str | None:
        """Returns the message if the tasks need more classes than the dataset can have; None otherwise."""
        tasks, known = settings.num_tasks or 1, dataset.num_classes
        if known is None or tasks * settings.classes_per_task <= known:
            return None
        return (
            f"num_tasks={settings.num_tasks} times classes_per_task={settings.classes_per_task} is more than the "
            f"{known} classes of dataset={dataset.settings.name}: lower one of them"
        ).replace("num_tasks=None times ", "")

    @classmethod
    def image_kinds(cls, settings: Any, dataset: Dataset, task: int | None) -> Sequence[ImageKind]:
        """Returns images of the dataset as the only kind; nothing if their shape is not known."""
        return [] if dataset.image_shape is None else [ImageKind(*dataset.image_shape, dataset.encoder(CPU))]


def _dealt(data: Data, settings: SplitClasses.Settings) -> list[list[int]]:
    """Returns the classes of each task.

    Raises:
        UserError: there are too few classes.
    """
    rng = stream(settings.seed, Stream.DIGITS)
    size, tasks = settings.classes_per_task, []
    for group in data.class_groups:
        order: Tensor = torch.randperm(len(group), generator=rng)
        dealt = [group[i] for i in order.tolist()] if settings.shuffle_classes else group
        tasks += [dealt[start : start + size] for start in range(0, len(dealt) - size + 1, size)]
    if len(tasks) < (settings.num_tasks or 1):
        key = "classes_per_task" if settings.num_tasks is None else "num_tasks"
        raise UserError(
            f"{settings.key(key)}={getattr(settings, key)}: {data.identity.name} has classes for {len(tasks)} tasks of "
            f"{size} classes; lower num_tasks or classes_per_task, or add the missing examples"
        )
    return tasks[: settings.num_tasks]

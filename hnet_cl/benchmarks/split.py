"""Other classes of a dataset in every task."""

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

    The classes come in ascending order, or with `shuffle_classes` in one drawn from `seed`. `num_tasks` None takes as
    many tasks as there are classes for; classes that are too few for another task are left out. No task mixes
    `Data.class_groups`. The protocol of Zenke, Poole & Ganguli, ICML 2017; split MNIST and split CIFAR of von Oswald et
    al., "Continual learning with hypernetworks", ICLR 2020.

    Raises:
        UserError: the data cannot be had, or have too few classes.
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
        """There are no more classes than the dataset can have."""
        tasks, known = settings.num_tasks or 1, dataset.num_classes
        if known is None or tasks * settings.classes_per_task <= known:
            return None
        return (
            f"num_tasks={settings.num_tasks} times classes_per_task={settings.classes_per_task} is more than the "
            f"{known} classes of dataset={dataset.settings.name}: lower one of them"
        ).replace("num_tasks=None times ", "")

    @classmethod
    def image_kinds(cls, settings: Any, dataset: Dataset, task: int | None) -> Sequence[ImageKind]:
        """Images of the dataset."""
        return [] if dataset.image_shape is None else [ImageKind(*dataset.image_shape, dataset.encoder(CPU))]


def _dealt(data: Data, settings: SplitClasses.Settings) -> list[list[int]]:
    """The classes of each task."""
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

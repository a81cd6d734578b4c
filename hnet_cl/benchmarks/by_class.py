"""Tasks that each have some of the classes of one dataset."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.datasets.base import Data, Dataset, Part


class Classes(NamedTuple):
    """The classes of a task: the task's name, the classes' labels in the dataset, in the task's order, and names."""

    task: str
    labels: Sequence[int]
    names: Sequence[str]


def tasks_of(chosen: Iterable[Classes], data: Data, dataset: Dataset, device: torch.device) -> list[Task]:
    """Builds a task for each choice of classes; all share the images, on the device."""
    prepare = dataset.encoder(device)
    train, test = data.train.images.to(device), data.test.images.to(device)
    tasks = []
    for number, own in enumerate(chosen):
        rows, labels = select(data.train, own.labels, device)
        test_rows, test_labels = select(data.test, own.labels, device)
        tasks.append(
            Task(
                id=number,
                name=own.task,
                train=Split(train, labels, prepare, rows, dataset.augment),
                test=Split(test, test_labels, prepare, test_rows),
                num_classes=len(own.labels),
                picture=prepare.undo if data.are_images else None,
                class_names=own.names,
            )
        )
    return tasks


def select(part: Part, own: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns the rows (n,) of the examples of the classes `own`, ascending, and labels (n,): class `own[c]` gets c."""
    position = torch.full((int(part.labels.max()) + 1 + max(own),), -1)
    position[list(own)] = torch.arange(len(own))
    labels = position[part.labels]
    rows = (labels >= 0).nonzero()[:, 0]
    return rows.to(device), labels[rows].to(device)

"""Split classes: every task has different classes of a dataset."""

from collections.abc import Sequence
from typing import Any

import torch

from hnet_cl.benchmarks.base import ImageKind, Protocol
from hnet_cl.benchmarks.by_class import Classes, tasks_of
from hnet_cl.benchmarks.dealing import Groups, Sizes, contradiction, dealt, too_many
from hnet_cl.core import settings as base
from hnet_cl.datasets.base import Dataset, examples

CPU = torch.device("cpu")


class SplitClasses(Protocol):
    """Tasks of different classes of a dataset; labels 0..C-1 in each task, in the order in which they are dealt.

    `tasks` lists the classes of each task, by their names or by their labels in the dataset, or is the word groups for
    a task for each of `Data.class_groups`. Without it, classes are dealt out one after another: `classes_per_task` to
    each task, or as many to each as a list of numbers says. They are in ascending order, or with `shuffle_classes` in
    an order drawn from `seed`. With `num_tasks` None there are as many tasks as the classes allow. Remaining classes,
    too few for a task, are left out, or with `keep_remainder` make a smaller task. No dealt task mixes groups.

    The protocol of Zenke, Poole & Ganguli, ICML 2017; split MNIST and split CIFAR of von Oswald et al., "Continual
    learning with hypernetworks", ICLR 2020.

    Raises:
        UserError: the data cannot be loaded, lack a class that `tasks` lists, or have too few classes.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: base.TaskCount | None
        classes_per_task: Sizes
        tasks: Groups | None
        keep_remainder: bool
        shuffle_classes: bool
        seed: int

    def __init__(self, settings: Settings, dataset: Dataset, device: torch.device) -> None:
        data = examples(dataset)
        self.data = data.identity
        self.in_shape = data.in_shape
        names = data.class_names
        chosen = ((own, [names[label] for label in own]) for own in dealt(data, settings))
        classes = (Classes(dataset.called(called), own, called) for own, called in chosen)
        self.tasks = tasks_of(classes, data, dataset, device)

    @classmethod
    def unsupported(cls, settings: Any, dataset: Dataset) -> str | None:
        """Returns the message if settings contradict each other or ask for more classes than the dataset can have."""
        return contradiction(settings) or too_many(settings, dataset)

    @classmethod
    def image_kinds(cls, settings: Any, dataset: Dataset, task: int | None) -> Sequence[ImageKind]:
        """Returns images of the dataset as the only kind; nothing if their shape is not known."""
        if dataset.image_shape is None:
            return []
        return [ImageKind(*dataset.image_shape, dataset.encoder(CPU), decode=dataset.decoder)]

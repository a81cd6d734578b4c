"""Domains: the same classes in every task, each in a dataset of its own."""

from collections.abc import Sequence
from typing import Any

import torch

from hnet_cl.benchmarks.base import ImageKind, Protocol
from hnet_cl.benchmarks.by_class import Classes, tasks_of
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.datasets.base import Data, examples
from hnet_cl.datasets.fitting import fit
from hnet_cl.datasets.several import Several

CPU = torch.device("cpu")


class Domains(Protocol):
    """A task for each of several datasets, in their order; with `num_tasks`, for the first of them.

    Class c of one task is class c of all others. Datasets with the same class names have them in the order of the first
    one; a class with neither training nor test examples in its dataset is left out.

    Raises:
        UserError: the data cannot be loaded, or a class has different labels in two datasets.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: base.TaskCount | None

    made_of = Several

    def __init__(self, settings: Settings, dataset: Several, device: torch.device) -> None:
        data = examples(dataset)
        self.data = data.identity
        self.in_shape = data.in_shape
        classes = _aligned(_classes(data, list(dataset.parts)), settings)
        domains = list(classes.items())[: settings.num_tasks]
        self.tasks = tasks_of(
            (Classes(name, list(own.values()), list(own)) for name, own in domains), data, dataset, device
        )

    @classmethod
    def unsupported(cls, settings: Any, dataset: Several) -> str | None:
        """Returns the message if there are more tasks than datasets; None otherwise."""
        names = list(dataset.parts)
        if (settings.num_tasks or 1) <= len(names):
            return None
        return f"num_tasks={settings.num_tasks}: there are {len(names)} data sets ({', '.join(names)}); give no more"

    @classmethod
    def image_kinds(cls, settings: Any, dataset: Several, task: int | None) -> Sequence[ImageKind]:
        """Returns images in the common shape, and in the shape of each dataset, to be brought to that one."""
        shape = dataset.image_shape
        if shape is None:
            return []
        encoder, enlarge = dataset.encoder(CPU), dataset.settings.enlarge
        shapes = dict.fromkeys([shape, *(part.image_shape for part in dataset.parts.values() if part.image_shape)])
        return [ImageKind(*one, lambda images: encoder(fit(images, shape, enlarge))) for one in shapes]


def _classes(data: Data, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Returns, for each dataset by its name, its classes with their labels in `data`."""
    groups = zip(names, data.class_groups, strict=True)
    return {name: {data.class_names[label].removeprefix(f"{name} "): label for label in own} for name, own in groups}


def _aligned(classes: dict[str, dict[str, int]], settings: Any) -> dict[str, dict[str, int]]:
    """Returns the classes of each dataset in the order of the first one, if all have the same.

    Raises:
        UserError: only some are the same, and have other positions.
    """
    own = next(iter(classes.values()))
    if all(other.keys() == own.keys() for other in classes.values()):
        return {name: {one: other[one] for one in own} for name, other in classes.items()}
    place: dict[str, tuple[int, str]] = {}
    for name, other in classes.items():
        for position, one in enumerate(other):
            before, where = place.setdefault(one, (position, name))
            if before != position:
                raise UserError(
                    f"benchmark={settings.name}: class {shown(one)} is number {before + 1} of {where} and number "
                    f"{position + 1} of {name}, and tasks share their classes by number; give all the same classes, or "
                    "use benchmark=split, whose tasks share none"
                )
    return classes

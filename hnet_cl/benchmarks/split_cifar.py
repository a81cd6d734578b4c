"""Split CIFAR: in every task other classes of CIFAR-10 or CIFAR-100."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from hnet_cl.benchmarks.base import Benchmark, ImageKind, Split, Task
from hnet_cl.benchmarks.images import AUGMENTATIONS, Augmentation, Normalize
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.cifar import CIFAR10, CIFAR100, CifarData, Verify, load_cifar
from hnet_cl.datasets.identity import DataIdentity

SETS = {"cifar10": CIFAR10, "cifar100": CIFAR100}
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and standard deviation of its channels
AS_THEY_ARE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class SplitCIFAR(Benchmark):
    """Tasks of `classes_per_task` classes each, in ascending order; inputs (3, 32, 32).

    `classes_from` names the data sets that are cut into tasks, one after the other; `num_tasks` None takes as many
    tasks as they hold. Benchmark of von Oswald et al., "Continual learning with hypernetworks", ICLR 2020: all of
    CIFAR-10, then five times ten classes of CIFAR-100.

    Raises:
        UserError: files are missing or damaged, or hold too few classes for `num_tasks`.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: base.TaskCount | None
        classes_from: Annotated[list[Literal["cifar10", "cifar100"]], Field(min_length=1)]
        classes_per_task: Annotated[int, Field(ge=2, le=100)]
        verify: Verify
        augment: Augmentation
        normalize: bool

    def __init__(self, settings: Settings, data_dir: Path, device: torch.device) -> None:
        self.in_shape = (3, 32, 32)
        self._settings = settings
        self._prepare = _normalize(settings, device)
        self.tasks: list[Task] = []
        loaded = [load_cifar(SETS[name], data_dir, settings.verify) for name in settings.classes_from]
        for data in loaded:
            self._add(data, device)
        wanted, found = settings.num_tasks, len(self.tasks)
        names = " + ".join(data.identity.name for data in loaded)
        if found < (wanted or 1):
            raise UserError(
                f"benchmark.num_tasks={wanted}: {names} in {data_dir} has classes for {found} tasks of "
                f"{settings.classes_per_task} classes; lower num_tasks or classes_per_task, or add the missing images"
            )
        self.tasks = self.tasks[:wanted]
        sources, checksums = ([getattr(d.identity, key) for d in loaded] for key in ("source", "checksum"))
        fixed = all(data.identity.fixed for data in loaded)
        self.data = DataIdentity(names, " + ".join(sources), "-".join(checksums), fixed)

    def _add(self, data: CifarData, device: torch.device) -> None:
        """Adds the tasks that a data set holds; they share its images."""
        train, test = (part.images.to(device) for part in (data.train, data.test))
        augment = AUGMENTATIONS[self._settings.augment]
        size = self._settings.classes_per_task
        for start in range(0, len(data.classes) - size + 1, size):
            own = torch.tensor(data.classes[start : start + size])
            (rows, labels), (test_rows, test_labels) = (
                [index.to(device) for index in _select(part.labels, own)] for part in (data.train, data.test)
            )
            task = Task(
                id=len(self.tasks),
                name=f"{data.identity.name.partition(' ')[0]} {own[0]}-{own[-1]}",
                train=Split(train, labels, self._prepare, rows, augment),
                test=Split(test, test_labels, self._prepare, test_rows),
                num_classes=size,
                picture=self._prepare.undo,
                class_names=[f"{data.identity.name.partition(' ')[0]} {number}" for number in own.tolist()],
            )
            self.tasks.append(task)

    @classmethod
    def image_kinds(cls, settings: Settings, task: int | None) -> Sequence[ImageKind]:
        """Images of CIFAR's size."""
        return [ImageKind(3, 32, 32, _normalize(settings, torch.device("cpu")))]


def _normalize(settings: SplitCIFAR.Settings, device: torch.device) -> Normalize:
    return Normalize.of(*(IMAGENET if settings.normalize else AS_THEY_ARE), device)


def _select(labels: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the examples of the classes `own`, in their order in the data, and labels: class `own[c]` gets c."""
    rows = torch.isin(labels, own).nonzero()[:, 0]
    return rows, torch.searchsorted(own, labels[rows])

"""F-CelebA: is the person smiling? Ten tasks of about a hundred faces each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from hnet_cl.benchmarks.base import ImageKind, Protocol, Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.celeba import CLASSES, CelebA, Labelled, Share, drawn, listed
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity

NAMES = {"lists": "f-celeba", "iid": "celeba-iid", "identity": "celeba-identity"}


class FCelebA(Protocol):
    """`num_tasks` two-class tasks of CelebA.

    The benchmark of Ke, Liu & Huang, "Continual learning of a mixed sequence of similar and dissimilar tasks", NeurIPS
    2020: each task is a user of LEAF's lists, whose images are a random sample of CelebA. `partition` is `lists` for
    these, or `iid` or `identity` to draw `train_per_task` + `test_per_task` images for every task from `seed`; with
    `identity`, no person is in two tasks. `validation_per_task` of the training images are set aside for validation.

    Raises:
        UserError: files are missing or damaged, or hold too few images.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: base.TaskCount
        partition: Literal["lists", "iid", "identity"]
        train_list: str
        test_list: str
        train_per_task: base.Size
        test_per_task: base.Size
        validation_per_task: NonNegativeInt
        seed: int

    made_of = CelebA

    def __init__(self, settings: Settings, dataset: CelebA, device: torch.device) -> None:
        self.in_shape = dataset.image_shape
        self._settings = settings
        shares = self._shares(dataset.folder)
        names = sorted({name for share in shares for name, _ in (*share.train, *share.test)})
        pixels = dataset.images(names)
        self._row = {name: row for row, name in enumerate(names)}
        self.data = DataIdentity(NAMES[settings.partition], "files", fingerprint(pixels, self._assignment(shares)))
        self._images = pixels.to(device)
        self._prepare, self._augment = dataset.encoder(device), dataset.augment
        self.tasks = [self._task(number, share) for number, share in enumerate(shares)]

    def _shares(self, folder: Path) -> list[Share]:
        settings = self._settings
        if settings.partition == "lists":
            return listed(folder, settings.train_list, settings.test_list, settings.num_tasks)
        sizes = settings.train_per_task, settings.test_per_task
        return drawn(folder, settings.partition == "identity", sizes, settings.num_tasks, settings.seed)

    def _assignment(self, shares: Sequence[Share]) -> Tensor:
        """Returns task, row of the image, label, and 0 for training or 1 for test, of every example: (4, number)."""
        rows = [
            (task, self._row[name], label, part)
            for task, share in enumerate(shares)
            for part, pairs in enumerate((share.train, share.test))
            for name, label in pairs
        ]
        return torch.tensor(rows).T

    def _task(self, number: int, share: Share) -> Task:
        size, aside = len(share.train), self._settings.validation_per_task
        if aside >= size:
            raise UserError(f"benchmark.validation_per_task={aside}: {share.name} has {size} training images; lower it")
        order = torch.randperm(size, generator=stream(self._settings.seed, Stream.VALIDATION, share.name))
        train = self._split(share.train)
        train_rows, validation_rows = (rows.to(self._images.device) for rows in order.split([size - aside, aside]))
        return Task(
            id=number,
            name=share.name,
            train=train.part(train_rows.sort().values),
            test=self._split(share.test),
            num_classes=2,
            validation=train.part(validation_rows) if aside else None,
            picture=self._prepare.undo,
            class_names=CLASSES,
        )

    @classmethod
    def image_kinds(cls, settings: Any, dataset: CelebA, task: int | None) -> Sequence[ImageKind]:
        """Returns the only kind: faces of the size used for training."""
        return [ImageKind(*dataset.image_shape, dataset.encoder(torch.device("cpu")))]

    def _split(self, pairs: Sequence[Labelled]) -> Split:
        device = self._images.device
        rows, labels = torch.tensor([(self._row[name], label) for name, label in pairs], device=device).T
        return Split(self._images, labels, self._prepare, rows, self._augment)

"""F-CelebA: is the person smiling? Ten tasks of a hundred faces each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeInt
from torch import Tensor

from hnet_cl.benchmarks.base import Benchmark, ImageKind, Split, Task
from hnet_cl.benchmarks.images import AUGMENTATIONS, Augmentation, Normalize
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.celeba import Labelled, Share, drawn, listed, load_images
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity

MEAN, STD = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)  # CAT code
NAMES = {"lists": "f-celeba", "iid": "celeba-iid", "identity": "celeba-identity"}


class FCelebA(Benchmark):
    """`num_tasks` two-class tasks; inputs (3, `size`, `size`).

    Benchmark of Ke, Liu & Huang, "Continual learning of a mixed sequence of similar and dissimilar tasks", NeurIPS
    2020: users of LEAF's lists, whose images are a random sample of CelebA. `partition` is `lists` for these, or `iid`
    or `identity` to draw `train_per_task` + `test_per_task` images for every task from `seed`, with no person in two
    tasks if by identity. `validation_per_task` of the training images are not learned from.

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
        size: Annotated[int, Field(ge=8, le=178)]
        augment: Augmentation
        seed: int

    def __init__(self, settings: Settings, data_dir: Path, device: torch.device) -> None:
        self.in_shape = (3, settings.size, settings.size)
        self._settings = settings
        folder = data_dir / "celeba"
        shares = self._shares(folder)
        names = sorted({name for share in shares for name, _ in (*share.train, *share.test)})
        pixels = load_images(folder, data_dir, names, settings.size)
        self._row = {name: row for row, name in enumerate(names)}
        self.data = DataIdentity(NAMES[settings.partition], "files", fingerprint(pixels, self._assignment(shares)))
        self._images = pixels.to(device)
        self._prepare = Normalize.of(MEAN, STD, device)
        self.tasks = [self._task(number, share) for number, share in enumerate(shares)]

    def _shares(self, folder: Path) -> list[Share]:
        settings = self._settings
        if settings.partition == "lists":
            return listed(folder, settings.train_list, settings.test_list, settings.num_tasks)
        sizes = settings.train_per_task, settings.test_per_task
        return drawn(folder, settings.partition == "identity", sizes, settings.num_tasks, settings.seed)

    def _assignment(self, shares: Sequence[Share]) -> Tensor:
        """Which images are whose, with which label, to learn from and to test with: (4, number)."""
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
            class_names=["not smiling", "smiling"],
        )

    @classmethod
    def image_kinds(cls, settings: Settings, task: int | None) -> Sequence[ImageKind]:
        """Faces, already of the size that is learned from."""
        return [ImageKind(3, settings.size, settings.size, Normalize.of(MEAN, STD, torch.device("cpu")))]

    def _split(self, pairs: Sequence[Labelled]) -> Split:
        device = self._images.device
        rows, labels = torch.tensor([(self._row[name], label) for name, label in pairs], device=device).T
        return Split(self._images, labels, self._prepare, rows, AUGMENTATIONS[self._settings.augment])

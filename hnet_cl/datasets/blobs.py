"""Random points in the plane: needs no data files, and is learned in a second."""

import torch
from pydantic import Field
from torch import Generator, Tensor

from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity

_CANDIDATES = 64
BYTES = 2 * 4 + 8  # per point: two float32 coordinates and an int64 label


class GaussianBlobs(Dataset):
    """Points (2,) from `num_classes` Gaussian blobs, each of which is a class.

    A blob is isotropic with standard deviation `spread`; its centre lies in [-1, 1] x [-1, 1].
    """

    class Settings(Dataset.Settings):
        num_classes: int = Field(ge=2, le=1000)  # limits memory: all pairwise distances in 64 layouts are computed
        train_per_class: base.Size
        test_per_class: base.Size
        spread: float = Field(gt=0, allow_inf_nan=False)
        seed: int

    def load(self) -> Data:
        """Draws the points from `seed`."""
        settings = self.settings
        train, test = draw_layout(
            stream(settings.seed, Stream.BLOBS),
            settings.num_classes,
            (settings.train_per_class, settings.test_per_class),
            settings.spread,
        )
        names = [f"blob {number}" for number in range(settings.num_classes)]
        return Data(train, test, names, DataIdentity("blobs", "synthetic", fingerprint(*train, *test), fixed=True))

    @property
    def num_classes(self) -> int:
        """Returns the number of blobs."""
        return int(self.settings.num_classes)

    def memory(self) -> int:
        """Returns the bytes that all points and labels take."""
        per_class = self.settings.train_per_class + self.settings.test_per_class
        return self.num_classes * int(per_class) * BYTES


def draw_layout(rng: Generator, count: int, per_class: tuple[int, int], spread: float) -> tuple[Part, Part]:
    """Draws `count` blobs with `per_class` = (training, test) points each; returns both parts, with points (n, 2)."""
    centres = _centres(count, rng)
    train, test = (_points(centres, number, spread, rng) for number in per_class)
    return train, test


def _centres(count: int, rng: Generator) -> Tensor:
    """Draws centres (count, 2): of several random layouts, the one whose two closest centres are farthest apart."""
    layouts = torch.rand(_CANDIDATES, count, 2, generator=rng) * 2 - 1
    distances = torch.cdist(layouts, layouts).masked_fill(torch.eye(count, dtype=torch.bool), float("inf"))
    return layouts[distances.amin(dim=(1, 2)).argmax()]


def _points(centres: Tensor, per_class: int, spread: float, rng: Generator) -> Part:
    labels = torch.arange(len(centres)).repeat_interleave(per_class)
    return Part(centres[labels] + spread * torch.randn(len(labels), 2, generator=rng), labels)

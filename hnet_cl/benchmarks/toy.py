"""Toy benchmark: points in the plane, no data files, a task learned in a second."""

from pathlib import Path

import torch
from pydantic import Field
from torch import Generator, Tensor

from hnet_cl.benchmarks.base import Benchmark, Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity

_CANDIDATES = 64


class GaussianBlobs(Benchmark):
    """`num_tasks` tasks of `num_classes` Gaussian blobs each; inputs (2,).

    A blob is isotropic with standard deviation `spread`; its centre lies in [-1, 1] x [-1, 1]. The layout
    of a task is drawn from `seed` and the task's number, so different tasks label the same plane
    differently and forgetting shows.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: base.TaskCount
        num_classes: int = Field(ge=2, le=1000)  # 64 layouts with all their distances are compared
        train_per_class: base.Size
        test_per_class: base.Size
        spread: float = Field(gt=0, allow_inf_nan=False)
        seed: int

    def __init__(self, settings: Settings, data_dir: Path, device: torch.device) -> None:
        self.in_shape = (2,)
        self.tasks = []
        drawn = []
        for task in range(settings.num_tasks):
            generator = stream(settings.seed, Stream.BLOBS, task)
            centres = _centres(settings.num_classes, generator)
            train = _blobs(centres, settings.train_per_class, settings.spread, generator)
            test = _blobs(centres, settings.test_per_class, settings.spread, generator)
            drawn += [*train, *test]
            self.tasks.append(Task(task, f"blobs {task}", _split(*train, device), _split(*test, device), len(centres)))
        self.data = DataIdentity("toy", "synthetic", fingerprint(*drawn), fixed=True)

    @classmethod
    def memory(cls, settings: Settings) -> int:
        """Two coordinates and a label for each point."""
        per_class = settings.train_per_class + settings.test_per_class
        return settings.num_tasks * settings.num_classes * per_class * (2 * 4 + 8)


def _centres(count: int, generator: Generator) -> Tensor:
    """Centres (count, 2): of several random layouts the one whose two closest centres are farthest apart."""
    layouts = torch.rand(_CANDIDATES, count, 2, generator=generator) * 2 - 1
    distances = torch.cdist(layouts, layouts).masked_fill(torch.eye(count, dtype=torch.bool), float("inf"))
    return layouts[distances.amin(dim=(1, 2)).argmax()]


def _blobs(centres: Tensor, per_class: int, spread: float, generator: Generator) -> tuple[Tensor, Tensor]:
    labels = torch.arange(len(centres)).repeat_interleave(per_class)
    return centres[labels] + spread * torch.randn(len(labels), 2, generator=generator), labels


def _split(points: Tensor, labels: Tensor, device: torch.device) -> Split:
    return Split(points.to(device), labels.to(device), _as_they_are)


def _as_they_are(points: Tensor) -> Tensor:
    return points

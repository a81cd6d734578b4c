"""A toy benchmark of points in the plane: needs no data files, and a task is learned in a second."""

from typing import Any

import torch
from pydantic import Field

from hnet_cl.benchmarks.base import Benchmark, Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.base import Part
from hnet_cl.datasets.blobs import BYTES, draw_layout
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import Scale


class GaussianBlobs(Benchmark):
    """`num_tasks` tasks of `num_classes` Gaussian blobs each; inputs (2,).

    A blob is isotropic with standard deviation `spread`; its centre lies in [-1, 1] x [-1, 1]. The layout
    of a task is drawn from `seed` and the task's number, so different tasks label the same plane
    differently, which makes forgetting visible.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: base.TaskCount
        num_classes: int = Field(ge=2, le=1000)  # limits memory: all pairwise distances in 64 layouts are computed
        train_per_class: base.Size
        test_per_class: base.Size
        spread: float = Field(gt=0, allow_inf_nan=False)
        seed: int

    def __init__(self, settings: Settings, dataset: None, device: torch.device) -> None:
        self.in_shape = (2,)
        self.tasks = []
        drawn = []
        sizes = settings.train_per_class, settings.test_per_class
        for task in range(settings.num_tasks):
            train, test = draw_layout(
                stream(settings.seed, Stream.BLOBS, task), settings.num_classes, sizes, settings.spread
            )
            drawn += [*train, *test]
            self.tasks.append(
                Task(task, f"blobs {task}", _split(train, device), _split(test, device), settings.num_classes)
            )
        self.data = DataIdentity("toy", "synthetic", fingerprint(*drawn), fixed=True)

    @classmethod
    def memory(cls, settings: Any, dataset: None) -> int:
        """Returns the bytes that all points and labels take."""
        per_class = settings.train_per_class + settings.test_per_class
        return int(settings.num_tasks * settings.num_classes * per_class) * BYTES


def _split(part: Part, device: torch.device) -> Split:
    return Split(part.images.to(device), part.labels.to(device), Scale())

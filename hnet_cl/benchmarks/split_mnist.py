"""Split MNIST: in every task other digits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from hnet_cl.benchmarks.base import Benchmark, ImageKind, Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.mnist import Source, load_mnist, scale_pixels


def _scale(images: Tensor) -> Tensor:
    """Images uint8 (b, 28, 28) to inputs float32 (b, 1, 28, 28) in [0, 1]."""
    return scale_pixels(images.unsqueeze(1))


class SplitMNIST(Benchmark):
    """`num_tasks` tasks of `classes_per_task` digits each; inputs (1, 28, 28), labels 0..C-1 in each task.

    Benchmark of von Oswald et al., "Continual learning with hypernetworks", ICLR 2020: the pairs (0, 1),
    (2, 3), ... (8, 9) in that order. `shuffle_digits` deals the digits in an order drawn from `seed`.

    Raises:
        UserError: MNIST is damaged, or missing with `source=full`.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: int = Field(ge=1, le=5)
        classes_per_task: int = Field(ge=2, le=10)
        source: Source
        shuffle_digits: bool
        seed: int

        @model_validator(mode="after")
        def _enough_digits(self) -> Self:
            if self.num_tasks * self.classes_per_task > 10:
                raise ValueError(
                    f"num_tasks={self.num_tasks} times classes_per_task={self.classes_per_task} is more than "
                    "the ten digits there are: lower one of them"
                )
            return self

    def __init__(self, settings: Settings, data_dir: Path, device: torch.device) -> None:
        mnist = load_mnist(settings.source, data_dir)
        self.data = mnist.identity
        self.in_shape = (1, 28, 28)
        digits = torch.arange(10)
        if settings.shuffle_digits:
            digits = torch.randperm(10, generator=stream(settings.seed, Stream.DIGITS))
        self.tasks = []
        for task in range(settings.num_tasks):
            own = digits[task * settings.classes_per_task : (task + 1) * settings.classes_per_task]
            self.tasks.append(
                Task(
                    id=task,
                    name="digits " + " ".join(str(digit) for digit in own.tolist()),
                    train=_select(mnist.train_images, mnist.train_labels, own, device),
                    test=_select(mnist.test_images, mnist.test_labels, own, device),
                    num_classes=len(own),
                    picture=torch.clone,
                    class_names=[str(digit) for digit in own.tolist()],
                )
            )

    @classmethod
    def image_kinds(cls, settings: Settings, task: int | None) -> Sequence[ImageKind]:
        """Digits."""
        return [ImageKind(1, 28, 28, scale_pixels)]


def _select(images: Tensor, labels: Tensor, own: Tensor, device: torch.device) -> Split:
    """The examples of the digits `own`, in their order in the data; digit `own[c]` gets label c."""
    position = torch.full((10,), -1)
    position[own] = torch.arange(len(own))
    labels = position[labels]
    keep = labels >= 0
    return Split(images[keep].to(device), labels[keep].to(device), _scale)

"""Permuted MNIST: in every task the same digits, with pixels in an order of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from hnet_cl.benchmarks.base import Benchmark, ImageKind, Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.mnist import Source, load_mnist, scale_pixels


@dataclass(frozen=True, eq=False)
class PermutePixels:
    """Images uint8 (b, 1, H, W) to inputs float32 (b, 1, H, W): pixel i is pixel `order[i]` of the image."""

    order: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        return scale_pixels(images).flatten(1).index_select(1, self.order).view_as(images)  # bytes take longer

    def undo(self, inputs: Tensor) -> Tensor:
        """Inputs (b, 1, H, W) to what they were before their pixels were permuted."""
        return inputs.flatten(1).index_select(1, self.order.argsort()).view_as(inputs)


class PermutedMNIST(Benchmark):
    """`num_tasks` ten-class tasks; inputs (1, H, H) with H = 28 + 2 * `padding`.

    Benchmark of von Oswald et al., "Continual learning with hypernetworks", ICLR 2020: zero padding of 2
    before the permutation of all 32 x 32 positions, first task not permuted. A task's permutation depends
    on `seed` and the task's number only, so a longer sequence starts with the shorter one.

    Raises:
        UserError: MNIST is damaged, or missing with `source=full`.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: base.TaskCount
        source: Source
        padding: int = Field(ge=0, le=10_000)
        permute_first: bool
        seed: int

    def __init__(self, settings: Settings, data_dir: Path, device: torch.device) -> None:
        mnist = load_mnist(settings.source, data_dir)
        self.data = mnist.identity
        size = _size(settings)
        self.in_shape = (1, size, size)
        train, test = (
            _padded(images.to(device).unsqueeze(1), settings) for images in (mnist.train_images, mnist.test_images)
        )
        train_labels, test_labels = mnist.train_labels.to(device), mnist.test_labels.to(device)
        self.tasks = []
        for task in range(settings.num_tasks):
            prepare = PermutePixels(_order(task, settings).to(device))
            self.tasks.append(
                Task(
                    id=task,
                    name=f"permutation {task}" if _is_permuted(task, settings) else "not permuted",
                    train=Split(train, train_labels, prepare),
                    test=Split(test, test_labels, prepare),
                    num_classes=10,
                    picture=prepare.undo,
                )
            )

    @classmethod
    def memory(cls, settings: Settings) -> int:
        """Padded digits, and the order of pixels for each task."""
        digits = 70_000 if settings.source == "full" else 5_000
        return _size(settings) ** 2 * (digits + 8 * settings.num_tasks)

    @classmethod
    def image_kinds(cls, settings: Settings, task: int | None) -> Sequence[ImageKind]:
        """Digits, whose pixels are put into the task's order if it is told; and images that are permuted already.

        Without padding both are of one size: they are taken for digits if the task is told, else for permuted ones.
        """
        size = _size(settings)
        permuted = ImageKind(1, size, size, scale_pixels)
        if task is None:
            return [permuted]
        prepare = PermutePixels(_order(task, settings))
        return [ImageKind(1, 28, 28, lambda images: prepare(_padded(images, settings)), of_task=True), permuted]


def _size(settings: PermutedMNIST.Settings) -> int:
    return 28 + 2 * settings.padding


def _padded(images: Tensor, settings: PermutedMNIST.Settings) -> Tensor:
    return pad(images, [settings.padding] * 4)


def _is_permuted(task: int, settings: PermutedMNIST.Settings) -> bool:
    return task > 0 or settings.permute_first


def _order(task: int, settings: PermutedMNIST.Settings) -> Tensor:
    pixels = _size(settings) ** 2
    if not _is_permuted(task, settings):
        return torch.arange(pixels)
    return torch.randperm(pixels, generator=stream(settings.seed, Stream.PERMUTATION, task))

"""Permuted pixels: the same classes in every task, each with its own permutation of the pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from hnet_cl.benchmarks.transformed import TransformedInputs
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.base import Dataset
from hnet_cl.datasets.images import Encoder


@dataclass(frozen=True, eq=False)
class PermutePixels:
    """A map from images (b, C, H, W) or vectors (b, d) to inputs of that shape, whose pixel i is pixel `order[i]`.

    All channels of an image have the same permutation.
    """

    order: Tensor
    encoder: Encoder

    def __call__(self, images: Tensor) -> Tensor:
        return _moved(self.encoder(images), self.order)  # the encoder first: moving bytes is slower than moving floats

    def undo(self, inputs: Tensor) -> Tensor:
        """Returns inputs as images in 0..1, with their pixels back in the original order."""
        return self.encoder.undo(_moved(inputs, self.order.argsort()))


def _moved(inputs: Tensor, order: Tensor) -> Tensor:
    return inputs.reshape(-1, len(order)).index_select(1, order).view(inputs.shape)  # as rows, eight times faster


class PermutedPixels(TransformedInputs):
    """`num_tasks` tasks, each with all classes; images are first padded by `padding` zero pixels on each side.

    Permuted MNIST of von Oswald et al., "Continual learning with hypernetworks", ICLR 2020: zero padding of 2
    before the permutation of all 32 x 32 positions, with the first task not permuted. A task's permutation depends
    only on `seed` and the task's number, so a longer sequence starts with the tasks of a shorter one.

    Raises:
        UserError: the data cannot be loaded, or are not images although `padding` is not 0.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: base.TaskCount
        padding: int = Field(ge=0, le=10_000)
        permute_first: bool
        seed: int

    takes_vectors = True

    @classmethod
    def transform(
        cls, settings: Any, task: int, shape: Sequence[int], encoder: Encoder, device: torch.device
    ) -> PermutePixels:
        """Returns the encoder that permutes the pixels as in `task`."""
        return PermutePixels(_order(task, settings, shape).to(device), encoder)

    @classmethod
    def called(cls, settings: Any, task: int) -> str:
        """Returns the number of the permutation."""
        return f"permutation {task}" if _is_permuted(task, settings) else "not permuted"

    @classmethod
    def memory(cls, settings: Any, dataset: Dataset) -> int:
        """Returns the bytes of the padded examples and of each task's permutation."""
        size = super().memory(settings, dataset)
        if dataset.image_shape is None:
            return size
        return size + 8 * prod(side + 2 * settings.padding for side in dataset.image_shape[1:]) * int(
            settings.num_tasks
        )


def _is_permuted(task: int, settings: Any) -> bool:
    return task > 0 or settings.permute_first


def _order(task: int, settings: Any, shape: Sequence[int]) -> Tensor:
    """Returns the permutation (pixels,) of a task: entry i is the original position of pixel i."""
    pixels = prod(shape[-2:])
    if not _is_permuted(task, settings):
        return torch.arange(pixels)
    return torch.randperm(pixels, generator=stream(settings.seed, Stream.PERMUTATION, task))

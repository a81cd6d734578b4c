"""Permuted pixels: the same classes in every task, each with its own permutation of the pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from hnet_cl.benchmarks.base import ImageKind, Protocol, Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.base import Dataset, examples
from hnet_cl.datasets.images import Encoder

CPU = torch.device("cpu")


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


class PermutedPixels(Protocol):
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

    def __init__(self, settings: Settings, dataset: Dataset, device: torch.device) -> None:
        data = examples(dataset)
        self.data = data.identity
        if settings.padding and not data.are_images:
            raise UserError(
                f"{settings.key('padding')}={settings.padding}: {data.identity.name} has no images but inputs of shape "
                f"{data.in_shape}; give {settings.key('padding')}=0"
            )
        self.in_shape = (*data.in_shape[:-2], *_padded_size(data.in_shape[-2:], settings))
        train, test = (_padded(part.images.to(device), settings) for part in (data.train, data.test))
        train_labels, test_labels = data.train.labels.to(device), data.test.labels.to(device)
        encoder = dataset.encoder(device)
        self.tasks = []
        for task in range(settings.num_tasks):
            prepare = PermutePixels(_order(task, settings, self.in_shape).to(device), encoder)
            self.tasks.append(
                Task(
                    id=task,
                    name=f"permutation {task}" if _is_permuted(task, settings) else "not permuted",
                    train=Split(train, train_labels, prepare, augment=dataset.augment),
                    test=Split(test, test_labels, prepare),
                    num_classes=len(data.class_names),
                    picture=prepare.undo if data.are_images else None,
                    class_names=data.class_names,
                )
            )

    @classmethod
    def memory(cls, settings: Any, dataset: Dataset) -> int:
        """Returns the bytes of the padded examples and of each task's permutation."""
        if dataset.image_shape is None:
            return dataset.memory()
        pixels, padded = dataset.image_shape[1:], _padded_size(dataset.image_shape[1:], settings)
        return dataset.memory() * prod(padded) // prod(pixels) + 8 * prod(padded) * int(settings.num_tasks)

    @classmethod
    def image_kinds(cls, settings: Any, dataset: Dataset, task: int | None) -> Sequence[ImageKind]:
        """Returns two kinds: original images, to be permuted as in `task`, and images that are already permuted.

        Without a task there is only the latter. Without padding both kinds have the same size: images then count as
        original ones if the task is given, else as permuted ones.
        """
        if dataset.image_shape is None:
            return []
        encoder, size = dataset.encoder(CPU), _padded_size(dataset.image_shape[1:], settings)
        permuted = ImageKind(dataset.image_shape[0], size[0], size[1], encoder)
        if task is None:
            return [permuted]
        prepare = PermutePixels(_order(task, settings, size), encoder)
        return [
            ImageKind(*dataset.image_shape, lambda images: prepare(_padded(images, settings)), of_task=True),
            permuted,
        ]


def _padded_size(size: Sequence[int], settings: Any) -> tuple[int, ...]:
    return tuple(side + 2 * settings.padding for side in size)


def _padded(images: Tensor, settings: Any) -> Tensor:
    return pad(images, [settings.padding] * 4) if settings.padding else images


def _is_permuted(task: int, settings: Any) -> bool:
    return task > 0 or settings.permute_first


def _order(task: int, settings: Any, shape: Sequence[int]) -> Tensor:
    """Returns the permutation (pixels,) of a task: entry i is the original position of pixel i."""
    pixels = prod(shape[-2:])
    if not _is_permuted(task, settings):
        return torch.arange(pixels)
    return torch.randperm(pixels, generator=stream(settings.seed, Stream.PERMUTATION, task))

"""Rotated images: the same classes in every task, each with the images turned by an angle of its own."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import grid_sample

from hnet_cl.benchmarks.transformed import TransformedInputs
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.base import Dataset
from hnet_cl.datasets.images import Encoder

Angle = Annotated[float, Field(ge=-360, le=360)]
Span = Annotated[float, Field(gt=0, le=360)]


class Rotate:
    """A map from images (b, *shape) to inputs of that shape, turned counter-clockwise about their centre.

    Values between pixels are interpolated bilinearly, and what comes from outside is black. Multiples of 90 degrees
    (for images that are not square, of 180) only move pixels, and change no value.

    Args:
        angle: in degrees.
        shape: (C, H, W) of an image.
        encoder: the encoder of the dataset.
        device: of the images.
    """

    def __init__(self, angle: float, shape: Sequence[int], encoder: Encoder, device: torch.device) -> None:
        height, width = shape[-2:]
        quarters, rest = divmod(angle % 360, 90)
        self._quarters = int(quarters) if rest == 0 and (quarters % 2 == 0 or height == width) else None
        self._encoder = encoder
        self._grid = _grid(angle, height, width).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        inputs = self._encoder(images)
        if self._quarters is not None:
            return inputs.rot90(self._quarters, (-2, -1)).contiguous() if self._quarters else inputs
        grid = self._grid.expand(len(inputs), -1, -1, -1)
        black = self._encoder(torch.zeros_like(images[:1]))  # what is outside counts as 0, which may be another colour
        return grid_sample(inputs - black, grid, "bilinear", "zeros", align_corners=False) + black

    def undo(self, inputs: Tensor) -> Tensor:
        """Returns inputs as images in 0..1, turned as they are."""
        return self._encoder.undo(inputs)


def _grid(angle: float, height: int, width: int) -> Tensor:
    """Returns where each pixel comes from (1, H, W, 2): x and y, from -1 to 1 between the edges of the image."""
    radians = math.radians(angle)
    down, right = torch.meshgrid(
        torch.arange(height, dtype=torch.float64) - (height - 1) / 2,
        torch.arange(width, dtype=torch.float64) - (width - 1) / 2,
        indexing="ij",
    )
    x = math.cos(radians) * right - math.sin(radians) * down
    y = math.sin(radians) * right + math.cos(radians) * down
    return torch.stack([2 * x / width, 2 * y / height], dim=-1).float()[None]


class RotatedImages(TransformedInputs):
    """`num_tasks` tasks, each with all classes; images are padded by `padding` zero pixels, then turned by an angle.

    `angles` lists the angles in degrees. Without it, they are `span` / `num_tasks` apart, from 0 on, or with `random`
    drawn between 0 and `span`: each depends only on `seed` and the task's number. Rotated MNIST of Lopez-Paz & Ranzato,
    "Gradient episodic memory for continual learning", NeurIPS 2017: fixed angles between 0 and 180 degrees.

    Raises:
        UserError: the data cannot be loaded, or are not images.
    """

    class Settings(base.Settings):
        name: str
        num_tasks: base.TaskCount
        angles: list[Angle] | None
        span: Span
        random: bool
        padding: int = Field(ge=0, le=10_000)
        seed: int

    takes_vectors = False

    @classmethod
    def unsupported(cls, settings: Any, dataset: Dataset) -> str | None:
        """Returns the message if there are not as many angles as tasks; None otherwise."""
        if settings.angles is None:
            return None
        if settings.random:
            return f"random=true: {settings.key('angles')} says what the angles are; leave one of them out"
        if len(settings.angles) == settings.num_tasks:
            return None
        number = len(settings.angles)
        return (
            f"num_tasks={settings.num_tasks}: {settings.key('angles')} lists {number} angles; give num_tasks={number}"
        )

    @classmethod
    def transform(
        cls, settings: Any, task: int, shape: Sequence[int], encoder: Encoder, device: torch.device
    ) -> Rotate:
        """Returns the encoder that turns images as in `task`."""
        return Rotate(_angle(settings, task), shape, encoder, device)

    @classmethod
    def called(cls, settings: Any, task: int) -> str:
        """Returns the angle in degrees."""
        return f"{_angle(settings, task):.4g} degrees"


def _angle(settings: Any, task: int) -> float:
    """Returns the angle of a task in degrees."""
    if settings.angles is not None:
        return float(settings.angles[task])
    share = task / settings.num_tasks
    if settings.random:
        share = torch.rand((), generator=stream(settings.seed, Stream.ROTATION, task), dtype=torch.float64).item()
    return float(settings.span * share)

"""Scaling, normalisation and augmentation of whole batches of images, on the device of the batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

Augmentation = Literal["none", "flip", "flip_and_crop"]

CROP_PADDING = 4
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and standard deviation per channel


class Encoder(Protocol):
    """A map from stored examples (b, ...) to network inputs (b, *in_shape) of type float32."""

    def __call__(self, images: Tensor, /) -> Tensor:
        """Returns the inputs; never changes `images` in place."""

    def undo(self, inputs: Tensor, /) -> Tensor:
        """Returns inputs (b, C, H, W), or generated samples of them, as images in 0..1 for display."""


class Scale:
    """An encoder that scales uint8 pixels 0..255 to float32 in [0, 1] and returns float32 examples unchanged."""

    def __call__(self, images: Tensor) -> Tensor:
        return scale_pixels(images) if images.dtype == torch.uint8 else images

    def undo(self, inputs: Tensor) -> Tensor:
        """Returns inputs, or generated samples of them, as images in 0..1."""
        return inputs.clamp(0, 1)


def scale_pixels(images: Tensor) -> Tensor:
    """Returns uint8 pixels 0..255 as float32 in [0, 1], without further normalisation, as in the paper's code."""
    return images.float().div_(255)


@dataclass(frozen=True, eq=False)
class Normalize:
    """An encoder of uint8 images (b, 3, h, w): scales them to [0, 1], subtracts `mean` and divides by `std`.

    Inputs are float32 (b, 3, h, w) in the channels-last memory format, which makes convolutions on a CPU a third faster
    and changes no value.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float], device: torch.device) -> "Normalize":
        """Builds the encoder from one mean and one standard deviation for each channel."""
        return cls(*(torch.tensor(numbers, device=device).view(-1, 1, 1) for numbers in (mean, std)))

    def __call__(self, images: Tensor) -> Tensor:
        inputs = images.to(torch.float32, memory_format=torch.channels_last)
        return inputs.div_(255).sub_(self.mean).div_(self.std)

    def undo(self, inputs: Tensor) -> Tensor:
        """Returns inputs (b, 3, h, w), or generated samples of them, as images in 0..1."""
        return (inputs * self.std + self.mean).clamp(0, 1)


def flip(images: Tensor, rng: Generator) -> Tensor:
    """Mirrors each of the images (b, 3, h, w) left to right with probability 1/2."""
    mirrored = torch.randint(2, (len(images), 1, 1, 1), generator=rng).bool().to(images.device)
    return torch.where(mirrored, images.flip(-1), images)


def flip_and_crop(images: Tensor, rng: Generator) -> Tensor:
    """Applies `flip`, then shifts each image by up to 4 pixels along both axes, with zeros at the border.

    Offsets are drawn on the CPU, so that the images are the same on every device.
    """
    images = flip(images, rng)
    height, width = images.shape[-2:]
    down, right = torch.randint(2 * CROP_PADDING + 1, (2, len(images)), generator=rng).to(images.device)
    windows = pad(images, [CROP_PADDING] * 4).unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images), device=images.device), :, down, right]


AUGMENTATIONS: dict[Augmentation, Callable[[Tensor, Generator], Tensor] | None] = {
    "none": None,
    "flip": flip,
    "flip_and_crop": flip_and_crop,
}

"""Examples as network inputs: scaling, normalisation and augmentation of whole batches, on their device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

Augmentation = Literal["none", "flip", "flip_and_crop"]

CROP_PADDING = 4
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and standard deviation of its channels


class Encoder(Protocol):
    """Turns examples as they are kept (b, ...) into network inputs (b, *in_shape) of type float32."""

    def __call__(self, images: Tensor, /) -> Tensor:
        """Returns a new tensor, whatever it is given."""

    def undo(self, inputs: Tensor, /) -> Tensor:
        """Returns inputs (b, C, H, W), or samples of them, as images in 0..1 for people to see."""


class Scale:
    """Pixels uint8 0..255 become float32 in [0, 1]; what is float32 stays as it is."""

    def __call__(self, images: Tensor) -> Tensor:
        return scale_pixels(images) if images.dtype == torch.uint8 else images

    def undo(self, inputs: Tensor) -> Tensor:
        """Returns inputs, or samples of them, as images in 0..1."""
        return inputs.clamp(0, 1)


def scale_pixels(images: Tensor) -> Tensor:
    """Returns pixels uint8 0..255 as float32 in [0, 1]; not normalised further, as in the paper's code."""
    return images.float().div_(255)


@dataclass(frozen=True, eq=False)
class Normalize:
    """Images uint8 (b, 3, h, w) to inputs float32 (b, 3, h, w): scaled to [0, 1], less `mean`, divided by `std`.

    In memory the channels lie together, which makes convolutions on a CPU a third faster and changes no number.
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float], device: torch.device) -> "Normalize":
        """With one number for each channel."""
        return cls(*(torch.tensor(numbers, device=device).view(-1, 1, 1) for numbers in (mean, std)))

    def __call__(self, images: Tensor) -> Tensor:
        inputs = images.to(torch.float32, memory_format=torch.channels_last)
        return inputs.div_(255).sub_(self.mean).div_(self.std)

    def undo(self, inputs: Tensor) -> Tensor:
        """Inputs (b, 3, h, w), or samples of them, as images in 0..1."""
        return (inputs * self.std + self.mean).clamp(0, 1)


def flip(images: Tensor, rng: Generator) -> Tensor:
    """Each of the images (b, 3, h, w) mirrored left to right, or not, with equal chance."""
    mirrored = torch.randint(2, (len(images), 1, 1, 1), generator=rng).bool().to(images.device)
    return torch.where(mirrored, images.flip(-1), images)


def flip_and_crop(images: Tensor, rng: Generator) -> Tensor:
    """`flip`, then each image shifted by up to 4 pixels each way, with black where nothing was.

    Offsets are drawn on the CPU, so that every device sees the same images.
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

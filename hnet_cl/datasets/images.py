"""Scaling, normalisation and augmentation of whole batches of images, on the device of the batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Generator, Tensor
from torch.nn.functional import grid_sample, pad

Augmentation = Literal["none", "flip", "flip_and_crop", "random_resized_crop"]
Normalization = Literal[False, True, "dataset"]

CROP_PADDING = 4
# torchvision's RandomResizedCrop, after Szegedy et al., "Going deeper with convolutions", CVPR 2015
CROP_AREA = 0.08, 1.0  # share of the image
CROP_RATIO = 3 / 4, 4 / 3  # width over height
CROP_TRIES = 10


class Statistics(NamedTuple):
    """Mean and standard deviation of the pixels of a dataset's training images, in 0..1, one number per channel."""

    mean: Sequence[float]
    std: Sequence[float]


def together(several: Sequence[Statistics]) -> Statistics:
    """Computes the statistics of several sets of images together, which all have the same number of pixels."""
    mean, std = (torch.tensor([getattr(one, name) for one in several], dtype=torch.float64) for name in ("mean", "std"))
    joint = mean.mean(0)
    return Statistics(joint.tolist(), ((mean**2 + std**2).mean(0) - joint**2).sqrt().tolist())


IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
AS_THEY_ARE = Statistics((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


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


def normalizer(chosen: Normalization, own: Statistics, device: torch.device) -> Normalize:
    """Returns the encoder that a `normalize` key chooses: by `own` statistics, by ImageNet's (True), or not at all."""
    statistics = own if chosen == "dataset" else IMAGENET if chosen else AS_THEY_ARE
    return Normalize.of(*statistics, device)


def flip(images: Tensor, rng: Generator) -> Tensor:
    """Mirrors each of the images (b, c, h, w) left to right with probability 1/2."""
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


def random_resized_crop(images: Tensor, rng: Generator) -> Tensor:
    """Applies `flip`, then cuts a random part out of each image (b, c, h, w) and resizes it to (h, w), bilinearly.

    Area and ratio of the parts are distributed as in torchvision's RandomResizedCrop. They are drawn on the CPU, so
    that the parts are the same on every device.
    """
    images = flip(images, rng)
    boxes = draw_boxes(len(images), images.shape[-2], images.shape[-1], rng)
    return resized_parts(images, boxes.to(images.device))


def draw_boxes(number: int, height: int, width: int, rng: Generator) -> Tensor:
    """Draws `number` parts of an image: int64 (number, 4) with top, left, height and width of each, in pixels.

    A part that does not fit into the image is drawn again; after ten tries the whole image is taken.
    """
    low, high = CROP_AREA
    areas = height * width * (low + (high - low) * torch.rand(CROP_TRIES, number, generator=rng))
    low, high = (log(ratio) for ratio in CROP_RATIO)
    ratios = (low + (high - low) * torch.rand(CROP_TRIES, number, generator=rng)).exp()
    heights, widths = ((size.sqrt().round().long()) for size in (areas / ratios, areas * ratios))
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = fits.int().argmax(0), torch.arange(number)
    found = fits.any(0)
    tall, wide = (torch.where(found, sizes[first], whole) for sizes, whole in ((heights, height), (widths, width)))
    room = torch.stack([height - tall, width - wide]) + 1
    top, left = (torch.rand(2, number, generator=rng) * room).long().minimum(room - 1)
    return torch.stack([top, left, tall, wide], dim=1)


def resized_parts(images: Tensor, boxes: Tensor) -> Tensor:
    """Returns the parts `boxes` (b, 4) of images (b, c, h, w), each resized to (h, w) as `interpolate` does bilinearly.

    The type is kept; uint8 pixels are rounded.
    """
    height, width = images.shape[-2:]
    top, left, tall, wide = boxes.unsqueeze(-1).unbind(1)
    rows, columns = (
        start
        + ((torch.arange(size, device=images.device) + 0.5) * (length / size) - 0.5).clamp(min=0).minimum(length - 1)
        for start, length, size in ((top, tall, height), (left, wide, width))
    )
    y, x = (2 * place / max(size - 1, 1) - 1 for place, size in ((rows, height), (columns, width)))
    places = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    resized = grid_sample(images.float(), places.float(), mode="bilinear", padding_mode="border", align_corners=True)
    return resized.round_().to(images.dtype) if images.dtype == torch.uint8 else resized


AUGMENTATIONS: dict[Augmentation, Callable[[Tensor, Generator], Tensor] | None] = {
    "none": None,
    "flip": flip,
    "flip_and_crop": flip_and_crop,
    "random_resized_crop": random_resized_crop,
}

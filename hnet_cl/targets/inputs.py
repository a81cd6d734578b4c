"""Brings images to the size and the scale that a network sees, where the network's own weights ask for another."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

Side = Annotated[int, Field(gt=0, le=4096)]
Scaling = Literal["imagenet", "signed"]

# Mean and standard deviation of pixels in 0..1: those of ImageNet (torchvision's), or to make them -1..1.
SCALINGS: dict[Scaling, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "signed": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
MEAN, STD = "pixel_mean", "pixel_std"


class Inputs:
    """A hook that resizes images (b, c, h, w) before a network sees them, and then scales their values in 0..1.

    Its parts in the network are two buffers that are in no state dict, so that files of weights fit.
    """

    def __init__(self, size: int | None) -> None:
        self.size = size

    def __call__(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Returns the network's arguments with the images, the first of them, resized and scaled."""
        images, *others = inputs
        if self.size is not None and images.shape[-2:] != (self.size, self.size):
            images = interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        if hasattr(network, MEAN):
            images = (images - getattr(network, MEAN)) / getattr(network, STD)
        return images, *others


def prepare_images(network: nn.Module, size: int | None, normalize: Scaling | None) -> None:
    """Lets a network resize and scale the images that it is given.

    Args:
        network: a network for colour images.
        size: pixels of each side, to which images are resized bilinearly; None: they stay as they are.
        normalize: `imagenet`: by ImageNet's mean and standard deviation; `signed`: values are -1..1; None: as they are.
    """
    if normalize is not None:
        for name, numbers in zip((MEAN, STD), SCALINGS[normalize], strict=True):
            network.register_buffer(name, torch.tensor(numbers).view(-1, 1, 1), persistent=False)
    network.register_forward_pre_hook(Inputs(size))


def resized(network: nn.Module, in_shape: Sequence[int]) -> list[str]:
    """Returns a line if the network resizes images of this shape (c, h, w); none if it does not."""
    sizes = [hook.size for hook in network._forward_pre_hooks.values() if isinstance(hook, Inputs)]
    return [f"it sees images resized to {size} x {size}" for size in sizes if size and (size, size) != (*in_shape[1:],)]

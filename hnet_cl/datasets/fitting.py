"""Brings images of several shapes to one."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

AT_A_TIME = 1000  # images that are resized together, as floating-point numbers

Shape = tuple[int, int, int]


def common_shape(shapes: Sequence[Shape], size: int | None) -> Shape:
    """Returns the shape (C, H, W) that images of all these shapes are brought to.

    It has three channels unless all are grey, and sides of `size` pixels; if that is None, the largest height and the
    largest width.
    """
    channels, heights, widths = zip(*shapes, strict=True)
    return max(channels), size or max(heights), size or max(widths)


def fit(images: Tensor, shape: Shape, enlarge: bool) -> Tensor:
    """Returns images (n, c, h, w), uint8 or float32, in another shape (C, H, W): (n, C, H, W) of the same type.

    Grey becomes colour with equal channels. Larger images are made smaller, and with `enlarge` smaller ones larger, by
    bilinear interpolation that keeps the ratio of their sides. The rest is padded by zeros, evenly on both sides.
    """
    channels, height, width = shape
    if images.shape[1] != channels:
        images = images.expand(-1, channels, -1, -1)
    factor = min(height / images.shape[2], width / images.shape[3])
    if factor < 1 or enlarge:
        size = [max(1, round(factor * side)) for side in images.shape[2:]]
        images = _resized(images, size)
    top, left = height - images.shape[2], width - images.shape[3]
    return pad(images, [left // 2, left - left // 2, top // 2, top - top // 2])


def _resized(images: Tensor, size: list[int]) -> Tensor:
    if list(images.shape[2:]) == size:
        return images
    parts = [
        interpolate(part.float(), size, mode="bilinear", antialias=True, align_corners=False)
        for part in images.split(AT_A_TIME)
    ]
    if images.dtype == torch.uint8:
        parts = [part.round_().clamp_(0, 255).to(torch.uint8) for part in parts]
    return torch.cat(parts)

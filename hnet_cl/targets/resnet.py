"""Residual networks for small images (He et al., CVPR 2016, section 4.2), with identity shortcuts."""

import itertools
from collections.abc import Sequence
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn


class ResNet(nn.Module):
    """A convolution, three groups of residual blocks, the mean over the image, the outputs: 6 n + 2 layers.

    Every convolution is 3 x 3, with biases (as in the code of von Oswald et al., ICLR 2020) and batch normalisation.
    The second and third groups halve the resolution; there the shortcut takes every other pixel and pads with channels
    of zeros, so that shortcuts have no weights.

    Args:
        in_shape: channels, height and width of an image.
        num_outputs: number of logits.
        blocks: n, residual blocks in each group; 5 for ResNet-32.
        channels: of the first convolution and of the three groups, none fewer than the one before.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        num_outputs: int,
        blocks: Annotated[int, Field(gt=0, le=1000)],
        channels: Annotated[list[PositiveInt], Field(min_length=4, max_length=4)],
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_shape[0], channels[0], 3, padding=1)
        self.norm = nn.BatchNorm2d(channels[0])
        groups = []
        for group, (before, after) in enumerate(itertools.pairwise(channels)):
            groups += [_Block(before, after, stride=2 if group else 1)]
            groups += [_Block(after, after, stride=1) for _ in range(blocks - 1)]
        self.groups = nn.Sequential(*groups)
        self.head = nn.Linear(channels[-1], num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (b, channels, height, width) to logits (b, num_outputs)."""
        x = self.groups(self.norm(self.first(x)).relu())
        return self.head(x.mean((2, 3)))


class _Block(nn.Module):
    """Two convolutions and a shortcut around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(after)
        self._stride = stride
        self._new_channels = after - before

    def forward(self, x: Tensor) -> Tensor:
        """Maps (b, before, h, w) to (b, after, h / stride, w / stride), sizes rounded up."""
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y))
        below = self._new_channels // 2
        shortcut = x[:, :, :: self._stride, :: self._stride]
        return (y + F.pad(shortcut, (0, 0, 0, 0, below, self._new_channels - below))).relu()

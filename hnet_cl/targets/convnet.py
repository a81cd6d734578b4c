"""A small convolutional network, for datasets too small for a large one."""

import itertools
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PositiveInt
from torch import Tensor, nn


class ConvNet(nn.Module):
    """3 x 3 convolutions, each with ReLU and max pooling that halves the image; then a dense layer and the outputs.

    Args:
        in_shape: channels, height and width of an image.
        num_outputs: number of logits.
        channels: output channels of each convolution; at most as many convolutions as the image can be halved.
        dense: units of the dense layer.
        dropout: share of the last pooled values and of the dense layer's units that are dropped.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        num_outputs: int,
        channels: list[PositiveInt],
        dense: PositiveInt,
        dropout: Annotated[float, Field(ge=0, lt=1)],
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([in_shape[0], *channels]):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(dropout))
        height, width = (size >> len(channels) for size in in_shape[1:])
        last = channels[-1] if channels else in_shape[0]
        self.dense = nn.Sequential(nn.Linear(last * height * width, dense), nn.ReLU(), nn.Dropout(dropout))
        self.head = nn.Linear(dense, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (b, channels, height, width) to logits (b, num_outputs)."""
        return self.head(self.dense(self.features(x)))

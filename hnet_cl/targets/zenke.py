"""The convolutional network of Zenke, Poole & Ganguli (ICML 2017), as in von Oswald et al. (2020) on split CIFAR."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

Rate = Annotated[float, Field(ge=0, lt=1)]


class ZenkeNet(nn.Module):
    """Two blocks of two 3 x 3 convolutions (32, then 64 channels) and max pooling, a dense layer of 512, the outputs.

    In each block the first convolution keeps the image's size and the second does not pad.

    Args:
        in_shape: channels, height and width of an image; at least 10 x 10.
        num_outputs: number of logits.
        conv_dropout: share of the channels that are dropped after each block.
        dense_dropout: share of the units of the dense layer that are dropped.
    """

    def __init__(self, in_shape: Sequence[int], num_outputs: int, conv_dropout: Rate, dense_dropout: Rate) -> None:
        super().__init__()
        channels, height, width = in_shape
        self.features = nn.Sequential(*_block(channels, 32, conv_dropout), *_block(32, 64, conv_dropout), nn.Flatten())
        height, width = (((size - 2) // 2 - 2) // 2 for size in (height, width))
        self.dense = nn.Linear(64 * height * width, 512)
        self.dropout = nn.Dropout(dense_dropout)
        self.head = nn.Linear(512, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (b, channels, height, width) to logits (b, num_outputs)."""
        return self.head(self.dropout(self.dense(self.features(x)).relu()))


def _block(in_channels: int, out_channels: int, dropout: float) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout2d(dropout),
    ]

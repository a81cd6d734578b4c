"""The fully connected networks of the MNIST experiments in von Oswald et al. (ICLR 2020)."""

import itertools
from collections.abc import Sequence
from math import prod

from pydantic import PositiveInt
from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected layers with biases and ReLU between them.

    Args:
        in_shape: shape of one input; it is flattened.
        num_outputs: number of logits.
        hidden: sizes of the hidden layers.
    """

    def __init__(self, in_shape: Sequence[int], num_outputs: int, hidden: list[PositiveInt]) -> None:
        super().__init__()
        sizes = [prod(in_shape), *hidden, num_outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Maps inputs (b, *in_shape) to logits (b, num_outputs)."""
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)

    def activation(self, x: Tensor) -> Tensor:
        """Applies the activation of hidden layers to x, which it may overwrite."""
        return x.relu_()


class SigmoidMLP(MLP):
    """The same with sigmoids, as in the paper's toy regression."""

    def activation(self, x: Tensor) -> Tensor:
        return x.sigmoid_()

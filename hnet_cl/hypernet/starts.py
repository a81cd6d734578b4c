"""How large generated weights start, tensor by tensor."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod, sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from hnet_cl.hypernet.target import Layout, Start, trainable

Init = Literal["xavier", "fan_in", "hyperfan"]

SPREAD = 0.02  # standard deviation of what starts around one value (our choice)
RELU = 2  # of the variance of a layer's inputs, a ReLU before it keeps half (He et al., ICCV 2015)


def layout_for(module: nn.Module, init: Init) -> Layout:
    """Returns the layout of a module's trainable parameters, with the start that `init` gives each of them.

    Args:
        module: the module, with its own initial values.
        init: `xavier`, no start: the hypernetwork is initialised whatever it generates (von Oswald et al., ICLR 2020).
            `fan_in`: the mean and standard deviation of the module's own values, which its constructor chooses by the
            inputs or outputs of a layer. Biases start around 0.
            `hyperfan`: hyperfan-in for layers with ReLU (Chang et al., ICLR 2020, section 4): weights have the variance
            2 / fan_in, halved where a bias is generated too, which has the other half. What belongs to no such layer,
            as gains of norms and embeddings of positions, starts as with `fan_in`.

    Raises:
        ValueError: the module has no trainable parameters.
    """
    layout = Layout.of(module)
    if init == "xavier":
        return layout
    starts = {name: _own(name, parameter) for name, parameter in trainable(module).items()}
    if init == "hyperfan":
        starts |= _hyperfan(layout)
    return replace(layout, starts=starts)


@torch.no_grad()
def _own(name: str, parameter: nn.Parameter) -> Start:
    """Returns the start by a parameter's own values; without values, on torch's meta device, it is any start.

    Vectors, as biases and gains, and constants start around one value.
    """
    if parameter.is_meta:
        return Start(0.0, 1.0)
    mean = 0.0 if name.endswith("bias") else parameter.mean().item()
    std = parameter.std(unbiased=False).item() if parameter.dim() > 1 else 0.0
    return Start(mean, std or SPREAD)


def _hyperfan(layout: Layout) -> dict[str, Start]:
    """Returns the starts of the weights, of at least two dimensions, and biases of layers."""
    starts = {}
    for name, shape in layout.shapes.items():
        if name.endswith("weight") and len(shape) > 1:
            bias = f"{name.removesuffix('weight')}bias"
            halves = 2 if bias in layout.shapes else 1
            starts[name] = Start(0.0, sqrt(RELU / (halves * prod(shape[1:]))))
            if bias in layout.shapes:
                starts[bias] = Start(0.0, sqrt(RELU / halves))
    return starts


def to_expected_length(embedding: Tensor) -> None:
    """Scales an embedding (E,) from N(0, 1), in place, to the length that it is expected to have."""
    embedding *= sqrt(len(embedding)) / embedding.norm()


def draw_columns(head: Tensor, sizes: Sequence[int]) -> None:
    """Draws the columns of a last layer (H+1, S) with its biases as the last row: Xavier's matrices of `sizes`, and 0.

    It writes to `head`, from torch's global generator.
    """
    for block in head[:-1].split(list(sizes), dim=1):
        nn.init.xavier_uniform_(block)
    nn.init.zeros_(head[-1])


def start_columns(head: Tensor, starts: Sequence[Start], sizes: Sequence[int], mean_square: Tensor) -> None:
    """Scales such columns, in place, so that each tensor that they generate has the start that is wanted.

    Args:
        head: the columns (H+1, S).
        starts: of each tensor.
        sizes: numbers of each tensor, whose sum is S.
        mean_square: of the length of the last layer's inputs, a number.
    """
    means, stds = head.new_tensor(starts).T
    hidden, numbers = len(head) - 1, head.new_tensor(sizes)
    factors = stds / (2 / (hidden + numbers) * mean_square).sqrt()
    counts, total = torch.tensor(sizes, device=head.device), sum(sizes)
    head[:-1] *= factors.repeat_interleave(counts, output_size=total)
    head[-1] = means.repeat_interleave(counts, output_size=total)


def chunk_starts(starts: Sequence[Start], counts: Sequence[int], spread: Tensor) -> tuple[Tensor, Tensor]:
    """Computes scales and offsets of chunks (K,), with which each tensor has the start that is wanted.

    Args:
        starts: of each tensor.
        counts: chunks of each tensor, whose sum is K.
        spread: the standard deviation of the blocks without scales (K,).
    """
    means, stds = spread.new_tensor(starts).T
    numbers = torch.tensor(counts, device=spread.device)
    scales = stds.repeat_interleave(numbers, output_size=len(spread)) / spread
    return scales, means.repeat_interleave(numbers, output_size=len(spread)) / scales

"""How large generated weights start, tensor by tensor."""

from dataclasses import replace
from math import prod, sqrt
from typing import Literal

import torch
from torch import nn

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

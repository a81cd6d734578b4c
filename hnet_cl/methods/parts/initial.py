"""Initial weights of networks that are trained directly, not generated. A part of methods."""

from typing import Literal

from torch import nn

from hnet_cl.hypernet import trainable

Init = Literal["torch", "xavier"]


def initialised(network: nn.Module, init: Init) -> nn.Module:
    """Returns the network itself, with its weights unchanged (`torch`) or redrawn (`xavier`).

    `xavier` draws Xavier-uniform weights (Glorot & Bengio, AISTATS 2010) from torch's global generator and sets biases
    to zero. It changes only trainable parameters of linear layers and two-dimensional convolutions.
    """
    if init == "xavier":
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                own = trainable(layer)
                if "weight" in own:  # weight normalisation computes it from other parameters
                    nn.init.xavier_uniform_(own["weight"])
                if "bias" in own:
                    nn.init.zeros_(own["bias"])
    return network

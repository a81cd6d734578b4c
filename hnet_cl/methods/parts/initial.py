"""Initial weights of networks that are trained directly, not generated. A part of methods."""

from typing import Literal

from torch import nn

from hnet_cl.hypernet import trainable

Init = Literal["torch", "xavier"]


def initialised(network: nn.Module, init: Init) -> nn.Module:
    """The network with the weights it came with, or with Xavier-uniform ones and biases of zero.

    The latter (Glorot & Bengio, AISTATS 2010) are drawn from torch's global generator. Layers other
    than linear ones and two-dimensional convolutions stay as they are, and so do parameters that are not trained.
    """
    if init == "xavier":
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                own = trainable(layer)
                if "weight" in own:  # it is not, where weight normalisation makes it of others
                    nn.init.xavier_uniform_(own["weight"])
                if "bias" in own:
                    nn.init.zeros_(own["bias"])
    return network

"""Networks that are computed in bfloat16."""

import torch
from torch import Tensor, nn


class BFloat16(nn.Module):
    """A network in bfloat16: its activations and logits have 8 significant bits. Its weights stay float32.

    So does what is around it, such as a hypernetwork that generates the weights, and its regulariser.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (b, *in_shape) to rounded logits (b, n), of type float32."""
        with torch.autocast(x.device.type, torch.bfloat16):
            logits: Tensor = self.network(x)
        return logits.float()


def in_float32(network: nn.Module) -> nn.Module:
    """The network that a `BFloat16` computes, with the same parameters; any other network as it is."""
    return network.network if isinstance(network, BFloat16) else network

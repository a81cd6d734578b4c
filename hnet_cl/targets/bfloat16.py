"""Networks that compute in bfloat16."""

import torch
from torch import Tensor, nn


class BFloat16(nn.Module):
    """A network that computes in bfloat16: activations and logits have 8 significant bits; weights stay float32.

    Everything around it, such as a hypernetwork that generates the weights and its regulariser, stays float32 too.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Maps inputs (b, *in_shape) to logits (b, num_outputs), rounded to bfloat16 and returned as float32."""
        with torch.autocast(x.device.type, torch.bfloat16):
            logits: Tensor = self.network(x)
        return logits.float()


def in_float32(network: nn.Module) -> nn.Module:
    """Returns the network inside a `BFloat16`, which shares its parameters; any other network as it is."""
    return network.network if isinstance(network, BFloat16) else network

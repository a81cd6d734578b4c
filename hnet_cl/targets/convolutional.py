"""Networks with convolutions: which they are, and how they are computed in bfloat16."""

import torch
from torch import Tensor, nn


def is_convolutional(network: nn.Module) -> bool:
    """Whether the network has two-dimensional convolutions."""
    return any(isinstance(layer, nn.Conv2d) for layer in network.modules())


class BFloat16(nn.Module):
    """A network of images in bfloat16: its activations have 8 significant bits, its weights and its outputs float32's.

    Matrix products have a setting of torch's own for that (`torch.set_float32_matmul_precision`), which leaves
    everything between them float32; convolutions follow none on a CPU, only autocast.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Inputs (b, *in_shape) to logits (b, n) in float32."""
        with torch.autocast(x.device.type, torch.bfloat16):
            logits: Tensor = self.network(x)
        return logits.float()


def in_float32(network: nn.Module) -> nn.Module:
    """The network that a `BFloat16` computes, with the same parameters; any other network as it is."""
    return network.network if isinstance(network, BFloat16) else network

"""Batch normalisation by given statistics."""

from typing import Self

from torch import nn

STATISTICS = ("running_mean", "running_var")


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the statistics that it was given, in training, too.

    They are parameters that are not trained: kept once, not for each task.
    """

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode, whatever the mode of the network."""
        return super().train(False)


def freeze_statistics(network: nn.Module) -> None:
    """Lets each `nn.BatchNorm2d` of a network keep its statistics; names in the state dict stay."""
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = FrozenBatchNorm2d  # in place, as torch's parametrizations do: a new layer is a new start
            for name in STATISTICS:
                values = getattr(layer, name)
                delattr(layer, name)
                layer.register_parameter(name, nn.Parameter(values, requires_grad=False))
            layer.eval()

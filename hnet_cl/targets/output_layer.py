"""Finds the layer of a network that gives its outputs."""

from torch import nn


def output_layer(network: nn.Module, num_outputs: int) -> tuple[str, nn.Linear] | None:
    """Finds the last `nn.Linear` of a network, in the order of registration, if it has `num_outputs` rows.

    Returns:
        its path in the network, empty for the network itself, and the layer; None if there is no such layer.
    """
    layers = [(path, layer) for path, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    return layers[-1] if layers and layers[-1][1].out_features == num_outputs else None

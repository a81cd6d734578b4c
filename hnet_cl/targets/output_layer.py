"""Finds the layer of a network that gives its outputs, and what that is given."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


def output_layer(network: nn.Module, num_outputs: int) -> tuple[str, nn.Linear] | None:
    """Finds the last `nn.Linear` of a network, in the order of registration, if it has `num_outputs` rows.

    Returns:
        its path in the network, empty for the network itself, and the layer; None if there is no such layer.
    """
    layers = [(path, layer) for path, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    return layers[-1] if layers and layers[-1][1].out_features == num_outputs else None


def features_in(network: nn.Module, num_outputs: int, call: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Calls a network and returns the features (b, F) of inputs, in float32: what its `output_layer` is given.

    Where a network has no such layer, or does not call it once on a matrix (b, F), they are its outputs.

    Args:
        network: the network.
        num_outputs: the number of its outputs.
        call: calls the network, in which its layers must be those of `network`, and returns its outputs (b, ...).
        inputs: (b, *in_shape).
    """
    given: list[Tensor] = []
    found = output_layer(network, num_outputs)
    if found is None:
        return call(inputs).float()

    def keep(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        given.extend(arguments[:1])

    handle = found[1].register_forward_pre_hook(keep)
    try:
        outputs = call(inputs)
    finally:
        handle.remove()
    single = len(given) == 1 and given[0].shape[:-1] == inputs.shape[:1]
    return (given[0] if single else outputs).float()

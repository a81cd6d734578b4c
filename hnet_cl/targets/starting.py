"""Starts a network with given weights."""

from collections.abc import Mapping

from torch import Tensor, nn

from hnet_cl.targets.output_layer import output_layer
from hnet_cl.targets.selection import in_short

COUNTER = "num_batches_tracked"  # of BatchNorm; files from before torch 1.0 lack it


def start_from(network: nn.Module, state: Mapping[str, Tensor], num_outputs: int) -> None:
    """Copies weights and buffers into a network; its output layer stays as it is if it has other shapes there.

    Args:
        network: the network, with `num_outputs` outputs.
        state: its tensors by name, as in its `state_dict`.
        num_outputs: the number of the network's outputs.

    Raises:
        ValueError: the names or, outside of the output layer, the shapes are not those of the network, or numbers are
            of another kind, NaN or infinite; the message has one line for the names of each of these.
    """
    whole, kept = network.state_dict(), other_outputs(network, state, num_outputs)
    own = {name: tensor for name, tensor in whole.items() if isinstance(tensor, Tensor) and name not in kept}
    missing = [name for name in own if name not in state and name.rpartition(".")[2] != COUNTER]
    surplus = [name for name in state if name not in whole]
    shared = [name for name in own if name in state]
    other = [
        f"{name} {tuple(state[name].shape)} in place of {tuple(own[name].shape)}"
        for name in shared
        if state[name].shape != own[name].shape
    ]
    unlike = [
        f"{name} {state[name].dtype} in place of {own[name].dtype}"
        for name in shared
        if state[name].is_floating_point() != own[name].is_floating_point() or state[name].is_complex()
    ]
    numbers = {name for name, _ in network.named_parameters()} - {line.partition(" ")[0] for line in unlike}
    infinite = [name for name in shared if name in numbers and not state[name].to(own[name].dtype).isfinite().all()]
    kind = type(network).__name__
    found = {f"lacks what {kind} has": missing, f"has what {kind} lacks": surplus, "has other shapes": other}
    found |= {"has other kinds of numbers": unlike, "has NaN or infinite numbers": infinite}
    if lines := [f"{what}: {in_short(names)}" for what, names in found.items() if names]:
        raise ValueError("\n".join(lines))
    network.load_state_dict({**whole, **{name: state[name] for name in shared}})


def other_outputs(network: nn.Module, state: Mapping[str, Tensor], num_outputs: int) -> list[str]:
    """Returns the names of the output layer's tensors if they are not in `state` with these shapes, else none."""
    layer = output_layer(network, num_outputs)
    if layer is None:
        return []
    path, own = layer
    tensors = {f"{path}.{name}" if path else name: tensor for name, tensor in own.state_dict().items()}
    same = all(name in state and state[name].shape == tensor.shape for name, tensor in tensors.items())
    return [] if same else [*tensors]

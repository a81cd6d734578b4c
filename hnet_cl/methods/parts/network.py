"""Checks of a user's own network before it is trained. A part of methods."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import trainable
from hnet_cl.targets.bfloat16 import in_float32
from hnet_cl.targets.lora import LowRank


def called(network: nn.Module) -> str:
    """Returns the name of a network in messages: the key that chooses it, with its class."""
    kind = type(in_float32(network))
    return f"target._target_={kind.__module__}.{kind.__qualname__}"


def refuse_low_rank(network: nn.Module, method: str) -> None:
    """Refuses layers with low-rank parts (`training.parameters=lora`), for a method that computes with plain layers.

    Raises:
        UserError: there is such a layer.
    """
    if any(isinstance(module, LowRank) for module in network.modules()):
        raise UserError(
            f"training.parameters=lora with method={method}: it works on plain layers, without low-rank parts; leave "
            "training.parameters out, or choose method=hnet or method=ewc"
        )


def require_trainable(network: nn.Module, device: torch.device) -> None:
    """Checks that a network, before it is moved to `device`, can be trained there.

    Raises:
        UserError: it has no trainable parameter; one is not float32; or a parameter or buffer has no shape yet (lazy
            layers) or no values (meta device).
    """
    name = called(network)
    tensors = [*network.named_parameters(), *network.named_buffers()]
    if lazy := next((path for path, tensor in tensors if is_lazy(tensor)), None):
        raise UserError(f"{name}: {lazy} has no shape yet; give lazy layers their sizes in the constructor")
    without_values = (path for path, tensor in tensors if tensor.is_meta and device.type != "meta")
    if empty := next(without_values, None):
        raise UserError(f"{name}: {empty} is on the meta device and has no values; make it on a real one")
    learnable = trainable(network)
    if not learnable:
        raise UserError(f"{name}: has nothing to train; at least one parameter needs requires_grad=True")
    for path, parameter in learnable.items():
        if parameter.dtype != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise UserError(
                f"{name}: {path} is {kind}, and only float32 is trained; convert it, or give it requires_grad=False"
            )


@torch.no_grad()
def share_frozen(networks: Sequence[nn.Module]) -> None:
    """Lets networks keep parameters that are not trained in the memory of the first one, where the values are equal.

    So they are on the device once, and once in a checkpoint.
    """
    first = dict(networks[0].named_parameters())
    for network in networks[1:]:
        learnable = trainable(network)
        for name, parameter in network.named_parameters():
            own = first[name]
            if name not in learnable and parameter.shape == own.shape and (own.is_meta or parameter.equal(own)):
                parameter.data = own.data


@torch.no_grad()
def copy_frozen(source: nn.Module, network: nn.Module) -> None:
    """Copies parameters that are not trained from `source` to `network`, if their shapes are the same."""
    values = dict(source.named_parameters())
    learnable = trainable(network)
    for name, parameter in network.named_parameters():
        if name not in learnable and values[name].shape == parameter.shape:
            parameter.copy_(values[name])

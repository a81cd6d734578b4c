"""What has to hold for a user's own network before it is trained. A part of methods."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from hnet_cl.core.errors import UserError, first_line
from hnet_cl.hypernet import copied, trainable
from hnet_cl.targets.bfloat16 import in_float32


def called(network: nn.Module) -> str:
    """What a network is called in messages: the key that chose it, with its class."""
    kind = type(in_float32(network))
    return f"target._target_={kind.__module__}.{kind.__qualname__}"


def require_trainable(network: nn.Module, device: torch.device) -> None:
    """Looks at the parameters of a network as it is made for a device.

    Raises:
        UserError: none can be trained, or not with what is there.
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
def copy_frozen(source: nn.Module, network: nn.Module) -> None:
    """Gives a network the values of another one's parameters that are not trained, where their shapes are the same."""
    values = dict(source.named_parameters())
    learnable = trainable(network)
    for name, parameter in network.named_parameters():
        if name not in learnable and values[name].shape == parameter.shape:
            parameter.copy_(values[name])


@contextmanager
def explained(name: str, what: str) -> Iterator[None]:
    """Inside, whatever the code of the network called `name` raises becomes one line: that it cannot be `what`.

    Raises:
        UserError: instead of any other error, save for a lack of memory.
    """
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a user's code may raise anything
        raise UserError(f"{name}: cannot be {what} ({type(error).__name__}: {first_line(error)})") from error


def rehearse_module(network: nn.Module, inputs: Tensor, num_outputs: int) -> None:
    """`rehearse` for a network with weights of its own, which stays as it is.

    Raises:
        UserError: as `rehearse`, or it cannot be copied.
    """
    name = called(network)
    with explained(name, "copied"):
        network = copied(network)
    before = trainable(network)
    rehearse(name, network, network, list(before.values()), inputs, num_outputs)
    require_same(name, before, trainable(network))


def require_same(name: str, before: Iterable[str], after: Iterable[str]) -> None:
    """Compares the names of a network's parameters before and after it was used.

    Raises:
        UserError: they have changed, and what is made of them before training does not fit any more.
    """
    changed = sorted(set(before) ^ set(after))
    if changed:
        raise UserError(
            f"{name}: what can be trained changes when the network is used ({', '.join(changed)}); make parameters "
            "and set their requires_grad in the constructor"
        )


def rehearse(
    name: str,
    network: nn.Module,
    forward: Callable[[Tensor], Any],
    weights: Sequence[Tensor],
    inputs: Tensor,
    num_outputs: int,
) -> None:
    """Does with a copy of a network what training and evaluation will do with it, and leaves the results aside.

    Args:
        name: what the network is `called`.
        network: the copy; its mode is set.
        forward: inputs (b, *in_shape) to its logits.
        weights: leaves that get the gradients.
        inputs: examples (b, *in_shape).
        num_outputs: how many logits are needed.

    Raises:
        UserError: it cannot be done, or what comes out are no such logits.
    """
    with explained(name, f"trained on inputs of shape {tuple(inputs.shape)}"):
        for _ in range(2):  # the first step may leave something that the second one stumbles over
            network.train()
            logits = forward(inputs)
            _require_logits(name, logits, inputs, num_outputs)
            if logits.requires_grad:
                logits.sum().backward()
            if all(weight.grad is None for weight in weights):
                raise UserError(f"{name}: what it returns depends on no parameter that is trained, so it cannot learn")
            if any(weight.grad is not None and weight.grad.is_sparse for weight in weights):
                raise UserError(
                    f"{name}: has sparse gradients, which Adam cannot use; give its embeddings sparse=False"
                )
    network.eval()
    for some in (inputs, inputs[:1]):  # the last batch of a test may have one example
        with torch.no_grad(), explained(name, f"tested on inputs of shape {tuple(some.shape)}"):
            _require_logits(name, forward(some), some, num_outputs)


def _require_logits(name: str, output: Any, inputs: Tensor, num_outputs: int) -> None:
    shape = tuple(output.shape) if isinstance(output, Tensor) else ()
    if len(shape) == 2 and shape[0] == len(inputs) and shape[1] >= num_outputs and output.is_floating_point():
        return
    kind = str(output.dtype).removeprefix("torch.") + f" of shape {shape}" if shape else type(output).__name__
    raise UserError(
        f"{name}: returns {kind} for inputs of shape {tuple(inputs.shape)}, and has to return logits of shape "
        f"({len(inputs)}, {num_outputs})"
    )

"""What has to hold for a user's own network before it is trained. A part of methods."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from hnet_cl.core.checks import attempt, expect, kind_of, shape_of
from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import trainable
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
    trained: Tensor,
    tested: Tensor,
    num_outputs: int,
) -> None:
    """Does with a network what training and evaluation will do with it, and leaves the results aside.

    Args:
        name: what the network is `called`.
        network: its mode is set, and its gradients.
        forward: inputs (b, *in_shape) to its logits.
        weights: leaves that get the gradients.
        trained: examples (b, *in_shape) to learn from.
        tested: examples to be tested on; they are also tried with fewer at a time, as the last batch of a test may be.
        num_outputs: the number of logits.

    Raises:
        UserError: it cannot be done, or what comes out are no such logits.
    """
    network.train()
    for _ in range(2):  # the first step may leave something that the second one stumbles over
        logits = _logits(name, "training", forward, trained, num_outputs)
        if logits.requires_grad:
            attempt(name, f"the backward pass for inputs of shape {tuple(trained.shape)}", logits.sum().backward)
        found = "the gradient of its outputs reaches nothing that is trained"
        found = found if logits.requires_grad else "its outputs have no gradient"
        learns = any(weight.grad is not None for weight in weights)
        expect(learns, name, found, "outputs that depend on its parameters, not detached from them")
        if any(weight.grad is not None and weight.grad.is_sparse for weight in weights):
            raise UserError(f"{name}: has sparse gradients, which Adam cannot use; give its embeddings sparse=False")
    network.eval()
    with torch.no_grad():
        for number in range(len(tested), 0, -1):
            _logits(name, "evaluation", forward, tested[:number], num_outputs)


def _logits(name: str, mode: str, forward: Callable[[Tensor], Any], inputs: Tensor, num_outputs: int) -> Tensor:
    given = inputs.clone()
    what = f"forward in {mode} mode of float32 inputs of shape {tuple(inputs.shape)}"
    found = attempt(name, what, forward, given)
    expected = f"logits, floating-point numbers of shape ({len(inputs)}, {num_outputs})"
    expect(isinstance(found, Tensor), name, f"{what} gives {kind_of(found)}", expected)
    logits: Tensor = found
    right = logits.shape == (len(inputs), num_outputs) and logits.is_floating_point()
    expect(right, name, f"{what} gives {shape_of(logits)}", expected)
    expect(bool(logits.isfinite().all()), name, f"{what} gives numbers that are NaN or infinite", "finite ones")
    expect(
        torch.equal(given, inputs), name, f"{what} changes the inputs themselves", "inputs as they were: work on a copy"
    )
    return logits

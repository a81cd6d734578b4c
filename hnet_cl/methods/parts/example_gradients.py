"""Sums of a measure, such as the square, of the gradients that single examples have."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.hypernet import TargetNetwork, copied, trainable
from hnet_cl.methods.parts.network import called
from hnet_cl.methods.parts.objective import CLASSIFICATION, Objective
from hnet_cl.methods.parts.vectorized import obstacle, quiet
from hnet_cl.targets.bfloat16 import in_float32


class Examples(NamedTuple):
    """Inputs (n, *in_shape) with their labels (n,) and weights (n,), for the loss to use."""

    inputs: Tensor
    labels: Tensor
    weights: Tensor


Loss = Callable[[Tensor, Examples], Tensor]  # of logits (n, outputs), summed over examples
Measure = Callable[[Tensor], Tensor]  # elementwise, of products the product: torch.square or torch.abs
Way = Callable[[nn.Module, Examples, Loss, Measure], list[Tensor]]  # sums the measure of gradients over examples


def fastest(network: nn.Module, inputs: Tensor, objective: Objective = CLASSIFICATION) -> tuple[Way, str | None]:
    """Finds the fastest way whose result for `inputs` (n, *in_shape) agrees with that of `one_by_one`.

    Returns:
        The way, and, if it is `one_by_one`, the reason why `torch.func.vmap` cannot be used; None otherwise.
    """
    network = copied(in_float32(network)).eval()
    with torch.no_grad(), seeded(0, Stream.OTHER_WEIGHTS):
        for parameter in trainable(network).values():  # zeros would hide differences
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    with torch.no_grad():
        labels = objective.some_labels(network(inputs))
    examples = Examples(inputs, labels, torch.ones(len(inputs), device=inputs.device))
    given = network, examples, _summed(objective), torch.square
    expected = one_by_one(*given)
    # A network whose control flow depends on values may treat an example according to others in its batch; vmap
    # detects that. `at_once` is tried only if `of_linear_layers` fails, as importing torch.func.grad takes a second.
    if obstacle(partial(of_linear_layers, *given), lambda: expected) is None and _looks_at_no_values(network, inputs):
        return of_linear_layers, None
    reason = obstacle(partial(at_once, *given), lambda: expected)
    return (one_by_one if reason else at_once), reason


@torch.no_grad()
def _looks_at_no_values(network: nn.Module, inputs: Tensor) -> bool:
    def fast() -> list[Tensor]:
        with quiet():
            return [vmap(lambda x: network(x[None])[0])(inputs)]

    return obstacle(fast, lambda: [torch.cat([network(x) for x in inputs.split(1)])]) is None


def inspected(
    network: nn.Module, inputs: Tensor, what: str, objective: Objective = CLASSIFICATION
) -> tuple[Way, list[str]]:
    """Returns the `fastest` way, and a line for the user if `what` is therefore computed example by example."""
    way, reason = fastest(network, inputs, objective)
    if not reason:
        return way, []
    return way, [
        f"{called(network)}: {what} is computed example by example, as torch.func.vmap cannot do it for several at "
        f"once ({reason}); it takes longer"
    ]


def summed(way: Way, network: nn.Module, examples: Examples, loss: Loss, measure: Measure) -> list[Tensor]:
    """Computes the sum over examples of the measure of their gradients, one tensor per trainable parameter."""
    try:
        return way(network, examples, loss, measure)
    except _OtherLayersError:  # a network may call its layers differently for another number of examples
        return one_by_one(network, examples, loss, measure)


def _summed(objective: Objective) -> Loss:
    return lambda outputs, examples: objective.each(outputs, examples.labels).sum()


class _OtherLayersError(Exception):
    """Raised by `of_linear_layers` for a network that does not meet its conditions."""


def of_linear_layers(network: nn.Module, examples: Examples, loss: Loss, measure: Measure) -> list[Tensor]:
    """Computes the sum for networks whose parameters all belong to linear layers.

    Each layer must be used exactly once, on one vector per example. The gradient of example n is then the outer product
    g_n a_n^T, and the sum of its measure over examples is a product of two matrices of measures, which together cost
    about one backward pass.

    Raises:
        _OtherLayersError: the network is not of this kind.
    """
    learned = trainable(network).values()
    layers = [module for module in network.modules() if type(module) is nn.Linear and trainable(module)]
    owned = [id(parameter) for layer in layers for parameter in trainable(layer).values()]
    if sorted(owned) != sorted(map(id, learned)):
        raise _OtherLayersError("not every parameter is in one linear layer, and as it is")
    seen: list[tuple[nn.Linear, Tensor, Tensor]] = []

    def keep(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(layer, nn.Linear)
        seen.append((layer, given[0].detach().clone(), output))
        return output.clone()  # the next layer may be an in-place activation

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        total = loss(network(examples.inputs), examples)
    finally:
        for hook in hooks:
            hook.remove()
    used = [id(layer) for layer, _, _ in seen]
    if sorted(used) != sorted(map(id, layers)) or any(a.dim() != 2 or not g.requires_grad for _, a, g in seen):
        raise _OtherLayersError("a layer is not used exactly once, on vectors")
    gradients = torch.autograd.grad(total, [output for _, _, output in seen], materialize_grads=True)
    found = {}
    for (layer, a, _), g in zip(seen, gradients, strict=True):
        measured = measure(g)
        found[id(layer.weight)] = measured.T @ measure(a)
        found[id(layer.bias)] = measured.sum(0)
    return [found[id(parameter)] for parameter in learned]


def at_once(network: nn.Module, examples: Examples, loss: Loss, measure: Measure) -> list[Tensor]:
    """Computes the sum for any network whose operations `torch.func.vmap` supports."""
    target = TargetNetwork(network).train(False)
    parameters = {name: parameter.detach() for name, parameter in trainable(network).items()}
    buffers = dict(network.named_buffers())

    def one(parameters: dict[str, Tensor], example: Examples) -> Tensor:
        x, y, weight = example
        return loss(target(parameters, x[None], buffers), Examples(x[None], y[None], weight[None]))

    totals = [torch.zeros_like(parameter) for parameter in parameters.values()]
    # a few examples at a time, as each example's gradient is as large as the network
    for some in zip(*(part.split(16) for part in examples), strict=True):
        with quiet():
            gradients = vmap(grad(one), in_dims=(None, 0))(parameters, Examples(*some))
        for total, gradient in zip(totals, gradients.values(), strict=True):
            total += measure(gradient).sum(0)
    return totals


def one_by_one(network: nn.Module, examples: Examples, loss: Loss, measure: Measure) -> list[Tensor]:
    """Computes the sum for any network, one example after another."""
    network = copied(network)  # the original's gradients must not change
    parameters = list(trainable(network).values())
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())
    # cuDNN's recurrent layers have no backward pass in evaluation mode
    with torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext():
        for some in zip(*(part.split(1) for part in examples), strict=True):
            example = Examples(*some)
            loss(network(example.inputs), example).backward()
            for total, parameter in zip(totals, parameters, strict=True):
                if parameter.grad is not None:
                    total += measure(parameter.grad)
                    parameter.grad = None
    return totals

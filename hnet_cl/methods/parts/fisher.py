"""The diagonal of the Fisher information of a network's weights, from gradients of single examples."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.hypernet import TargetNetwork, copied, trainable
from hnet_cl.methods.parts.objective import CLASSIFICATION, FisherLabels, Objective
from hnet_cl.methods.parts.vectorized import obstacle, quiet
from hnet_cl.targets.bfloat16 import in_float32


class Examples(NamedTuple):
    """Inputs (n, *in_shape) with their labels (n,) and the weights (n,) of their squared gradients."""

    inputs: Tensor
    labels: Tensor
    weights: Tensor


Loss = Callable[[Tensor, Examples], Tensor]  # of logits (n, outputs), summed over examples
Way = Callable[[nn.Module, Examples, Loss], list[Tensor]]  # computes the sum of squared gradients over examples


def diagonal_fisher(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    outputs: slice,
    labels: FisherLabels,
    rng: torch.Generator,
    way: Way | None = None,
    objective: Objective = CLASSIFICATION,
) -> list[Tensor]:
    """Computes the mean over examples of the squared gradient of -log p(y | x), one tensor per trainable parameter.

    p is the softmax over `outputs`, or in regression a Gaussian, in evaluation mode. y is the network's most probable
    label (`predicted`), the data's label (`true`: the empirical Fisher) or one drawn from p (`sampled`); `expected`
    takes the mean over all labels, weighted by p (the exact diagonal).

    Args:
        network: maps inputs (n, *in_shape) to logits (n, outputs).
        batches: inputs (n, *in_shape) and their true labels (n,), as indices within `outputs`.
        outputs: the outputs that p depends on.
        labels: which label y to take.
        rng: random stream of `sampled`.
        way: how gradients of single examples are computed; None for the `fastest` way.
        objective: its loss is -log p.
    """
    network = in_float32(network).eval()  # squares need its range, and torch.func's batch norm cannot mix types
    total = [torch.zeros_like(parameter) for parameter in trainable(network).values()]
    number = 0
    loss = _weighted(outputs, objective)
    for inputs, true in batches:
        way = way or fastest(network, inputs[:2], objective)[0]
        with torch.no_grad():
            found = network(inputs)[:, outputs]
        for chosen, weight in objective.fisher_labels(found, true, labels, rng):
            torch._foreach_add_(total, _squares(way, network, Examples(inputs, chosen, weight), loss))
        number += len(inputs)
    return [sums / number for sums in total]


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
    one = torch.ones(len(inputs), device=inputs.device)
    given = network, Examples(inputs, labels, one), _weighted(slice(None), objective)
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


def _squares(way: Way, network: nn.Module, examples: Examples, loss: Loss) -> list[Tensor]:
    try:
        return way(network, examples, loss)
    except _OtherLayersError:  # a network may call its layers differently for another number of examples
        return one_by_one(network, examples, loss)


def _weighted(outputs: slice, objective: Objective) -> Loss:
    def loss(logits: Tensor, examples: Examples) -> Tensor:
        each = objective.each(logits[:, outputs], examples.labels)
        return (examples.weights.sqrt() * each).sum()

    return loss


class _OtherLayersError(Exception):
    """Raised by `of_linear_layers` for a network that does not meet its conditions."""


def of_linear_layers(network: nn.Module, examples: Examples, loss: Loss) -> list[Tensor]:
    """Computes the sum of squared gradients for networks whose parameters all belong to linear layers.

    Each layer must be used exactly once, on one vector per example. The gradient of example n is then the outer product
    g_n a_n^T, and the sum of squares over examples is a product of two matrices of squares, which together cost about
    one backward pass.

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
        squares = g.square()
        found[id(layer.weight)] = squares.T @ a.square()
        found[id(layer.bias)] = squares.sum(0)
    return [found[id(parameter)] for parameter in learned]


def at_once(network: nn.Module, examples: Examples, loss: Loss) -> list[Tensor]:
    """Computes the sum of squared gradients for any network whose operations `torch.func.vmap` supports."""
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
            total += gradient.square().sum(0)
    return totals


def one_by_one(network: nn.Module, examples: Examples, loss: Loss) -> list[Tensor]:
    """Computes the sum of squared gradients for any network, one example after another."""
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
                    total.addcmul_(parameter.grad, parameter.grad)
                    parameter.grad = None
    return totals

"""The diagonal of the Fisher information of a classifier's weights, from gradients of single examples."""

import copy
from collections.abc import Callable, Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from hnet_cl.targets.bfloat16 import in_float32

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # of logits (n, outputs), labels (n,) and weights (n,) to (n,)
Labels = Literal["predicted", "true", "sampled", "expected"]


def diagonal_fisher(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], outputs: slice, labels: Labels, draws: torch.Generator
) -> list[Tensor]:
    """Mean over examples of the squared gradient of -log p(y | x), one tensor per parameter.

    p is the softmax over `outputs`, in evaluation mode. y is the network's most probable label (`predicted`), the
    data's (`true`: the empirical Fisher), one drawn from p (`sampled`), or the mean over all labels weighted by p is
    taken (`expected`: the exact diagonal).

    Args:
        network: maps inputs (n, *in_shape) to logits (n, outputs).
        batches: inputs (n, *in_shape) and their true labels (n,), as indices within `outputs`.
        outputs: the outputs under the softmax.
        labels: which y.
        draws: randomness of `sampled`.
    """
    network = in_float32(network).eval()  # squares; and torch.func's batch normalisation cannot mix types
    total = [torch.zeros_like(parameter) for parameter in network.parameters()]
    number = 0

    def loss(logits: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        return weight.sqrt() * F.cross_entropy(logits[:, outputs], y, reduction="none")

    for inputs, true in batches:
        with torch.no_grad():
            p = network(inputs)[:, outputs].softmax(1)
        for chosen, weight in _labels(p, true, labels, draws):
            torch._foreach_add_(total, squared_gradients(network, inputs, chosen, weight, loss))
        number += len(inputs)
    return [sums / number for sums in total]


def _labels(p: Tensor, true: Tensor, kind: Labels, draws: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Pairs of labels (n,) and weights (n,) whose weighted squared gradients make up the Fisher information."""
    one = torch.ones_like(p[:, 0])
    if kind == "predicted":
        return [(p.argmax(1), one)]
    if kind == "true":
        return [(true, one)]
    if kind == "sampled":
        drawn = torch.multinomial(p.cpu(), 1, generator=draws)[:, 0]
        return [(drawn.to(p.device), one)]
    return [(torch.full_like(true, label), p[:, label]) for label in range(p.shape[1])]


def squared_gradients(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    weights: Tensor,
    loss: Loss,
) -> list[Tensor]:
    """Sum over examples of the squared gradient of `loss` (logits, label, weight), one tensor per parameter.

    Where all parameters belong to linear layers with one vector per example, example n's gradient is the outer
    product g_n a_n^T, and the sum of squares is the matrix product of squares: the cost of one backward pass.
    Other networks take `torch.func`'s per-example gradients.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    owned = [id(parameter) for layer in layers for parameter in (layer.weight, layer.bias) if parameter is not None]
    if sorted(owned) == sorted(map(id, network.parameters())):  # every parameter in one layer, and as it is
        found = _linear_layers(network, layers, inputs, lambda logits: loss(logits, labels, weights).sum())
        if found is not None:
            return [found[id(parameter)] for parameter in network.parameters()]
    return _any_network(network, inputs, labels, weights, loss)


def _linear_layers(
    network: nn.Module, layers: list[nn.Linear], inputs: Tensor, total: Callable[[Tensor], Tensor]
) -> dict[int, Tensor] | None:
    """By parameter id; None if a layer is not used exactly once on vectors."""
    seen: list[tuple[nn.Linear, Tensor, Tensor]] = []

    def keep(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(layer, nn.Linear)
        seen.append((layer, given[0].detach().clone(), output))
        return output.clone()  # for an activation that works in place

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        value = total(network(inputs))
    finally:
        for hook in hooks:
            hook.remove()
    used = [id(layer) for layer, _, _ in seen]
    if sorted(used) != sorted(map(id, layers)) or any(a.dim() != 2 for _, a, _ in seen):
        return None
    found = {}
    for (layer, a, _), g in zip(seen, torch.autograd.grad(value, [output for _, _, output in seen]), strict=True):
        squares = g.square()
        found[id(layer.weight)] = squares.T @ a.square()
        if layer.bias is not None:
            found[id(layer.bias)] = squares.sum(0)
    return found


def _any_network(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    weights: Tensor,
    loss: Loss,
) -> list[Tensor]:
    network = copy.deepcopy(network)  # functional_call leaves a module used under two names with other tensors
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def one(parameters: dict[str, Tensor], x: Tensor, y: Tensor, w: Tensor) -> Tensor:
        logits = functional_call(network, (parameters, buffers), (x[None],))
        return loss(logits, y[None], w[None]).sum()

    totals = [torch.zeros_like(parameter) for parameter in parameters.values()]
    # a few examples at a time: their gradients are as many copies of the network
    for x, y, w in zip(inputs.split(16), labels.split(16), weights.split(16), strict=True):
        gradients = vmap(grad(one), in_dims=(None, 0, 0, 0))(parameters, x, y, w)
        for total, gradient in zip(totals, gradients.values(), strict=True):
            total += gradient.square().sum(0)
    return totals

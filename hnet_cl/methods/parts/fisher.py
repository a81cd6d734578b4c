"""The diagonal of the Fisher information of a classifier's weights, from gradients of single examples."""

from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hnet_cl.hypernet import trainable
from hnet_cl.methods.parts.example_gradients import Examples, Loss, Way, fastest, summed
from hnet_cl.targets.bfloat16 import in_float32

Labels = Literal["predicted", "true", "sampled", "expected"]


def diagonal_fisher(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    outputs: slice,
    labels: Labels,
    rng: torch.Generator,
    way: Way | None = None,
) -> list[Tensor]:
    """Computes the mean over examples of the squared gradient of -log p(y | x), one tensor per trainable parameter.

    p is the softmax over `outputs`, in evaluation mode. y is the network's most probable label (`predicted`), the
    data's label (`true`: the empirical Fisher) or one drawn from p (`sampled`); `expected` takes the mean over all
    labels, weighted by p (the exact diagonal).

    Args:
        network: maps inputs (n, *in_shape) to logits (n, outputs).
        batches: inputs (n, *in_shape) and their true labels (n,), as indices within `outputs`.
        outputs: the outputs under the softmax.
        labels: which label y to take.
        rng: random stream of `sampled`.
        way: how gradients of single examples are computed; None for the `fastest` way.
    """
    network = in_float32(network).eval()  # squares need its range, and torch.func's batch norm cannot mix types
    total = [torch.zeros_like(parameter) for parameter in trainable(network).values()]
    number = 0
    loss = _weighted(outputs)
    for inputs, true in batches:
        way = way or fastest(network, inputs[:2])[0]
        with torch.no_grad():
            p = network(inputs)[:, outputs].softmax(1)
        for chosen, weight in _labels(p, true, labels, rng):
            torch._foreach_add_(total, summed(way, network, Examples(inputs, chosen, weight), loss, torch.square))
        number += len(inputs)
    return [sums / number for sums in total]


def _weighted(outputs: slice) -> Loss:
    def loss(logits: Tensor, examples: Examples) -> Tensor:
        each = F.cross_entropy(logits[:, outputs], examples.labels, reduction="none")
        return (examples.weights.sqrt() * each).sum()

    return loss


def _labels(p: Tensor, true: Tensor, kind: Labels, rng: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Returns pairs of labels (n,) and weights (n,) whose weighted squared gradients sum to the Fisher information."""
    one = torch.ones_like(p[:, 0])
    if kind == "predicted":
        return [(p.argmax(1), one)]
    if kind == "true":
        return [(true, one)]
    if kind == "sampled":
        drawn = torch.multinomial(p.cpu(), 1, generator=rng)[:, 0]
        return [(drawn.to(p.device), one)]
    return [(torch.full_like(true, label), p[:, label]) for label in range(p.shape[1])]

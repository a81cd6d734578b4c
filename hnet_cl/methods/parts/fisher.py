"""The diagonal of the Fisher information of a network's weights, from gradients of single examples."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hnet_cl.hypernet import trainable
from hnet_cl.methods.parts.example_gradients import Examples, Loss, Way, fastest, summed
from hnet_cl.methods.parts.objective import CLASSIFICATION, FisherLabels, Objective
from hnet_cl.targets.bfloat16 import in_float32


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
            torch._foreach_add_(total, summed(way, network, Examples(inputs, chosen, weight), loss, torch.square))
        number += len(inputs)
    return [sums / number for sums in total]


def _weighted(outputs: slice, objective: Objective) -> Loss:
    def loss(logits: Tensor, examples: Examples) -> Tensor:
        each = objective.each(logits[:, outputs], examples.labels)
        return (examples.weights.sqrt() * each).sum()

    return loss

"""Task inference by the gradient of the entropy with respect to the shares of tasks in one superposed network.

Wortsman et al., Supermasks in superposition, NeurIPS 2020, section 3.3: inference in one step, and by halves.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.hypernet import TargetNetwork, copied
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.directional import derivatives
from hnet_cl.methods.parts.inference import DecisionSettings, Inferred, TaskInference, entropy, least
from hnet_cl.methods.parts.network import called
from hnet_cl.methods.parts.task_networks import Candidates, TaskNetworks
from hnet_cl.methods.parts.vectorized import obstacle

BATCH = 200  # inputs at a time, since all activations are kept for derivatives; does not affect the result


class EntropyGradient(TaskInference):
    """Chooses the task whose growing share lowers the entropy of a superposed network most, for each input on its own.

    Tasks have shares a_i in the weights w of that network: w = h(sum_i a_i e_i) with a hypernetwork h and embeddings
    e_i, or w = sum_i a_i W_i with separate networks. H is the entropy of the softmax over all outputs seen so far,
    whichever task the input is from. (Of the published 88 % on split MNIST, whose code lets the true task choose the
    outputs, this rule is not a reproduction.) At equal shares the score of task i is dH/da_i in nats, and the least is
    chosen; with `halving`, the better half of the tasks, rounded up, has equal shares next, until one task is left.
    Running statistics are averaged over tasks, and not differentiated.
    """

    class Settings(DecisionSettings):
        halving: bool

    def __init__(self, settings: Any, context: Context, networks: TaskNetworks) -> None:
        super().__init__(settings, context, networks)
        self._at_once: bool | None = None  # whether that works; None until `_try_at_once` has found out

    def infer(self, candidates: Candidates) -> Inferred:
        left = len(candidates.tasks)
        kept = torch.ones(left, len(candidates.inputs), dtype=torch.bool, device=candidates.inputs.device)
        while True:
            slopes = self.averaged(self._slopes(candidates, kept))
            left = ceil(left / 2) if self.settings.halving else 1
            if left == 1:
                return least(slopes)
            kept = torch.zeros_like(kept).scatter(0, slopes.argsort(dim=0, stable=True)[:left], True)

    def _slopes(self, candidates: Candidates, kept: Tensor) -> Tensor:
        """Computes dH/da_i (T, b) at equal shares of the tasks that the mask `kept` (T, b) selects; inf for others."""
        slopes = candidates.inputs.new_full(kept.shape, torch.inf)
        sets, number = kept.T.unique(dim=0, return_inverse=True)
        for i, members in enumerate(sets):
            tasks = members.nonzero()[:, 0]
            for here in (number == i).nonzero()[:, 0].split(BATCH):
                slopes[tasks[:, None], here] = self._of_set(candidates, tasks.tolist(), candidates.inputs[here])
        return slopes

    def _of_set(self, candidates: Candidates, tasks: Sequence[int], inputs: Tensor) -> Tensor:
        """Computes dH/da_i (S, b) at equal shares of some tasks (S,) for inputs (b, *in_shape)."""
        if self._at_once is None:  # `inspect` has not been called
            self._try_at_once(inputs[:2])
        buffers = _averaged([self.networks.buffers_of(task) for task in tasks])
        outputs = self.networks.heads.seen(candidates.tasks[-1])
        network = Superposed(self.networks.target, *self.networks.superposed(tasks), buffers, outputs)
        return (at_once if self._at_once else one_by_one)(network, inputs)

    def inspect(self, inputs: Tensor) -> list[str]:
        reason = self._try_at_once(inputs)
        if reason is None:
            return []
        return [
            f"{called(self.networks.target.module)}: the gradient of the entropy is computed example by example, as "
            f"PyTorch cannot do it for several at once ({reason}); the inference of tasks takes longer"
        ]

    @torch.no_grad()
    def _try_at_once(self, inputs: Tensor) -> str | None:
        """Decides whether several examples are differentiated at once; returns the reason if they are not."""
        target, heads = copied(self.networks.target).train(False), self.networks.heads
        weights, directions = self.networks.superposed(range(min(2, heads.num_tasks)))
        outputs = slice(0, heads.num_outputs)
        network = Superposed(target, weights, [*directions], target.fresh_buffers(), outputs)
        with seeded(self.context.seed, Stream.INSPECTION):
            reason = obstacle(lambda: [at_once(network, inputs)], lambda: [one_by_one(network, inputs)])
        self._at_once = reason is None
        return reason


class Superposed(NamedTuple):
    """A network in which S tasks have equal shares.

    Attributes:
        target: the network as a function of its weights.
        weights: (N,) at equal shares.
        directions: for each task, the derivative (N,) of the weights with respect to its share.
        buffers: by name.
        outputs: those over which the entropy is taken.
    """

    target: TargetNetwork
    weights: Tensor
    directions: Iterable[Tensor]
    buffers: Mapping[str, Tensor]
    outputs: slice

    def entropy(self, weights: Tensor, inputs: Tensor) -> Tensor:
        """Computes the entropy (b,) for inputs (b, *in_shape) with these weights (N,)."""
        return entropy(self.target(weights, inputs, self.buffers)[:, self.outputs])


def at_once(network: Superposed, inputs: Tensor) -> Tensor:
    """Computes the derivative (S, b) of the entropy with respect to each share, for b inputs."""
    with torch.enable_grad():
        point = network.weights.detach().requires_grad_()
        value = network.entropy(point, inputs)
    return derivatives(value, point, network.directions)


def one_by_one(network: Superposed, inputs: Tensor) -> Tensor:
    """Computes the same as `at_once` by a backward pass for each input."""
    found, every = [], torch.stack([*network.directions])
    for example in inputs.split(1):
        with torch.enable_grad():
            shares = every.new_zeros(len(every)).requires_grad_()
            value = network.entropy(network.weights + shares @ every, example)
            value.sum().backward()  # not autograd.grad, which reentrant checkpointing refuses
        assert shares.grad is not None
        found.append(shares.grad)
    return torch.stack(found, dim=1)


def _averaged(buffers: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Returns the means of floating-point buffers, and the first task's values of others, such as counts."""
    return {
        name: torch.stack([own[name] for own in buffers]).mean(0) if value.is_floating_point() else value
        for name, value in buffers[0].items()
    }

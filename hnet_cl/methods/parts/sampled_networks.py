"""Networks whose weights have a Gaussian distribution for each task. A part of methods.

Henning et al., Posterior meta-replay for continual learning, NeurIPS 2021 (arXiv 2103.01133), with Bayes by backprop
(Blundell et al., Weight uncertainty in neural networks, ICML 2015).
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hnet_cl.core.seeding import Stream
from hnet_cl.hypernet import Hypernetwork, TargetNetwork
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.task_networks import GeneratedNetworks


class Gaussian(NamedTuple):
    """Means and standard deviations (..., N) of independent Gaussian weights."""

    mean: Tensor
    std: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Returns mean + std * noise (..., N): weights, differentiable in both, for noise (N,) from N(0, 1)."""
        return self.mean + self.std * noise

    def divergence(self, prior: float) -> Tensor:
        """Computes KL(N(mean, std^2) || N(0, prior^2)) in nats, summed over all weights."""
        number = self.mean.numel()
        squares = (self.mean.square().sum() + self.std.square().sum()) / prior**2
        return (squares - number) / 2 - self.std.log().sum() + number * math.log(prior)


class SampledNetworks(GeneratedNetworks):
    """Networks that answer by the mean of the predictions of several samples of their weights.

    A hypernetwork generates the means and rho (2N,), of which standard deviations are softplus(rho + c). The samples
    are made of the same noise for all inputs and tasks, at any time.

    Args:
        target: the network as a function of its weights (N,).
        hypernetwork: generates means and rho of each task.
        context: the context of the learner.
        samples: the number S of samples.
        start: the standard deviation at rho = 0, which determines c.
    """

    def __init__(
        self, target: TargetNetwork, hypernetwork: Hypernetwork, context: Context, samples: int, start: float
    ) -> None:
        super().__init__(target, hypernetwork, context)
        self.samples = samples
        self._context = context
        self._shift = math.log(math.expm1(start))

    def gaussian(self, tasks: Sequence[int]) -> Gaussian:
        """Generates the distributions (T, N) of the weights of several tasks."""
        mean, rho = super().weights(tasks).chunk(2, dim=1)
        return Gaussian(mean, F.softplus(rho + self._shift))

    def weights(self, tasks: Sequence[int]) -> Tensor:
        """Returns the means (T, N)."""
        return self.gaussian(tasks).mean

    def superposed(self, tasks: Sequence[int]) -> tuple[Tensor, Iterator[Tensor]]:
        """Returns the means that the mean of task embeddings gives, and their derivatives."""
        total, slopes = super().superposed(tasks)
        number = self.target.layout.total
        return total[:number], (slope[:number] for slope in slopes)

    def logits(self, inputs: Tensor, task: int) -> Tensor:
        gaussian, buffers = self.gaussian([task]), self.buffers_of(task)
        asked = [self.target(gaussian.sample(noise)[0], inputs, buffers) for noise in self._noises()]
        return averaged(torch.stack(asked), self.heads.own(task))

    def sampled_logits(self, inputs: Tensor, tasks: Sequence[int]) -> Tensor:
        """Computes logits (S, T, b, C) of each sample of each task's network; -inf beyond a task's classes."""
        return torch.cat([self._sampled_group(inputs, group) for group in self.groups(tasks, len(inputs))], dim=1)

    def _of_group(self, inputs: Tensor, tasks: Sequence[int]) -> Tensor:
        return averaged(self._sampled_group(inputs, tasks))

    def _sampled_group(self, inputs: Tensor, tasks: Sequence[int]) -> Tensor:
        gaussian = self.gaussian(tasks)
        return torch.stack([self._ask(gaussian.sample(noise), inputs, tasks) for noise in self._noises()])

    def _noises(self) -> Iterator[Tensor]:
        rng = self._context.stream(Stream.WEIGHT_SAMPLES)
        for _ in range(self.samples):
            yield torch.randn(self.target.layout.total, generator=rng, device=self._context.device)


def averaged(logits: Tensor, own: slice = slice(None)) -> Tensor:
    """Computes logits (..., n) that stand for those of several samples (S, ..., n).

    Their softmax over the outputs `own` is the mean of the samples' softmaxes, and their log-sum-exp over `own` the
    mean of the samples' log-sum-exps. So one sample gives its own logits.
    """
    sizes = logits[..., own].logsumexp(-1, keepdim=True)
    return (logits - sizes).logsumexp(0) - math.log(len(logits)) + sizes.mean(0)

"""HNET with a distribution of weights for each task: a hypernetwork generates their means and standard deviations.

Henning, Cervera, D'Angelo, von Oswald, Traber, Ehret, Kobayashi, Grewe and Sacramento, Posterior meta-replay for
continual learning, NeurIPS 2021 (arXiv 2103.01133), trained with Bayes by backprop (Blundell et al., ICML 2015).
"""

from collections.abc import Sequence

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream
from hnet_cl.hypernet import Layout, Start
from hnet_cl.methods.parts.generated import Generated
from hnet_cl.methods.parts.sampled_networks import SampledNetworks

SPREAD = 12**-0.5  # standard deviation of rho where weights start as in the network itself (authors' code: 1 wide)


class HNetPosterior(Generated):
    """Networks with independent Gaussian weights N(m, s^2) for each task, of which a hypernetwork generates m and rho.

    s = softplus(rho + c). The loss is the mean cross-entropy of `train_samples` samples m + s * noise of the weights,
    drawn anew in each step, plus `kl` / n times the Kullback-Leibler divergence from the prior N(0, prior_std^2), with
    n the task's number of training examples: with kl = 1 that is the negative evidence lower bound of an example. The
    regulariser preserves m and rho of old tasks. Predictions are means over `test_samples` samples.
    """

    class Settings(Generated.Settings):
        """Settings of the method.

        `kl`: weight of the divergence. `start_std`: the standard deviation s at rho = 0, about which it starts.
        """

        kl: NonNegativeFloat
        prior_std: PositiveFloat
        start_std: PositiveFloat
        train_samples: base.Count
        test_samples: base.Count

    settings: Settings
    networks: SampledNetworks

    def generated_layout(self, module: nn.Module) -> Layout:
        means = super().generated_layout(module)
        shapes, starts = dict(means.shapes), None
        if means.starts is not None:
            starts = dict(means.starts) | {_rho(name): Start(0.0, SPREAD) for name in means.shapes}
        return Layout(shapes | {_rho(name): shape for name, shape in means.shapes.items()}, starts)

    def make_networks(self) -> SampledNetworks:
        own = self.settings
        return SampledNetworks(self.target, self.hypernetwork, self.context, own.test_samples, own.start_std)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self._examples = len(tasks[-1].train)
        self._noise = self.context.stream(Stream.WEIGHT_NOISE, self.latest)

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        task, number = self.latest, self.settings.train_samples
        own, buffers = self.heads.own(task), self.networks.buffers_of(task)
        gaussian = self.networks.gaussian([task])
        total = self.settings.kl / self._examples * gaussian.divergence(self.settings.prior_std)
        for _ in range(number):
            noise = torch.randn(self.target_size, generator=self._noise, device=inputs.device)
            logits = self.target(gaussian.sample(noise)[0], inputs, buffers)
            total = total + self.task_loss(logits, labels, own) / number
        return total

    def task_network(self, task: int) -> None:
        return None  # several sampled networks answer

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return super().training_state() | {"weight noise": self._noise}


def _rho(name: str) -> str:
    """Returns the name under which rho of a weight tensor is generated."""
    return f"{name} (rho)"

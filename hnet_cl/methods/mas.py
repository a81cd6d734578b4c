"""Memory aware synapses: weights on which the outputs depend are held."""

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.classifier import Classifier
from hnet_cl.methods.parts.example_gradients import Examples, Loss, Way, fastest, inspected, summed
from hnet_cl.methods.parts.penalty import QuadraticPenalty
from hnet_cl.targets.bfloat16 import in_float32

BATCH = 500  # examples per batch for the importance; does not affect the result


class MAS(Classifier):
    """A classifier with the penalty strength * sum_i Omega_i (w_i - w*_i)^2 (Aljundi et al., ECCV 2018, Eq. 4).

    After each task Omega_i grows by the mean over training examples of |d ||f(x)||^2 / d w_i| (Eq. 3), with f(x) the
    outputs that the task was trained with, in evaluation mode; w* is the latest solution. Labels are not used.
    """

    class Settings(Classifier.Settings):
        strength: NonNegativeFloat
        importance_samples: PositiveInt | None

    settings: Settings
    divisible = True

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.penalty = QuadraticPenalty(self.weights)
        self._way: Way | None = None  # to compute the importance; None until `inspect` has chosen it

    def inspect(self, inputs: Tensor) -> list[str]:
        self._way, lines = inspected(self.network, inputs, "the importance of weights")
        return lines

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if self.latest == 0 or self.settings.strength == 0:
            return {}
        return {"penalty": self.penalty.add_gradient(self.weights, gradients, self.settings.strength)}

    def end_task(self) -> None:
        if self.latest < self.heads.num_tasks - 1:  # else no further task could cause forgetting
            self.keep_for_later()

    def keep_for_later(self) -> None:
        torch._foreach_add_(self.penalty.importance, self.importance())
        self.penalty.anchor_at(self.weights)

    def importance(self) -> list[Tensor]:
        """Computes what the task just learned adds to Omega, one tensor for each of `weights`."""
        data = self.tasks[-1].train
        network = in_float32(self.network).eval()
        rng = stream(self.context.seed, Stream.FISHER, self.latest)
        index = torch.randperm(len(data), generator=rng)[: self.settings.importance_samples].to(self.context.device)
        total = [torch.zeros_like(weight) for weight in self.weights]
        loss = _squared_length(self.heads.trained(self.latest))
        for part in index.split(BATCH):
            inputs, labels = data.batch(part)
            way = self._way = self._way or fastest(network, inputs[:2])[0]
            examples = Examples(inputs, labels, torch.ones(len(labels), device=inputs.device))
            torch._foreach_add_(total, summed(way, network, examples, loss, torch.abs))
        return [sums / len(index) for sums in total]


def _squared_length(outputs: slice) -> Loss:
    def loss(logits: Tensor, examples: Examples) -> Tensor:
        return logits[:, outputs].square().sum()

    return loss

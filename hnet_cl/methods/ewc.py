"""Elastic weight consolidation, online or with one Fisher information per task.

Kirkpatrick et al., PNAS 2017; online: Schwarz et al., Progress & compress, ICML 2018, Eq. 8. Implementations disagree
on nearly every factor, so each is a setting; the values in the yaml are those of the three-scenarios code of van de Ven
& Tolias (2019), whose results the hypernetwork paper quotes.
"""

from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.classifier import Classifier
from hnet_cl.methods.parts.example_gradients import Way, inspected
from hnet_cl.methods.parts.fisher import diagonal_fisher
from hnet_cl.methods.parts.objective import FisherLabels
from hnet_cl.methods.parts.penalty import QuadraticPenalty

BATCH = 500  # examples per batch for the Fisher information; does not affect the result


class EWC(Classifier):
    """A classifier with the penalty strength * (1/2 if half) * (gamma if gamma_in_penalty) * sum_i F_i (w_i - w*_i)^2.

    Online, F <- F_new + gamma * F after each task and w* is the latest solution. Offline, every old task has its own
    F and w*, their penalties are summed, and gamma is not used.
    """

    class Settings(Classifier.Settings):
        strength: NonNegativeFloat
        half: bool
        online: bool
        gamma: Annotated[float, Field(ge=0, le=1)]
        gamma_in_penalty: bool
        fisher_labels: FisherLabels
        fisher_samples: PositiveInt | None

    settings: Settings
    divisible = True

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        number = 1 if settings.online else max(self.heads.num_tasks - 1, 1)
        self.penalties = nn.ModuleList(QuadraticPenalty(self.weights) for _ in range(number))
        self._way: Way | None = None  # to compute the Fisher information; None until `inspect` has chosen it

    @classmethod
    def unsupported_regression(cls, settings: Settings) -> str | None:
        if settings.fisher_labels != "predicted":
            return None
        key = settings.key("fisher_labels")
        return f"in regression {key}=predicted gives no Fisher information, but zero; use true, sampled or expected"

    def inspect(self, inputs: Tensor) -> list[str]:
        self._way, lines = inspected(self.network, inputs, "the Fisher information", self.objective)
        return lines

    def _active(self, learned: int) -> list[QuadraticPenalty]:
        """Returns the penalties that protect the first `learned` tasks (online: the one penalty for all of them)."""
        return [p for p in self.penalties[:learned] if isinstance(p, QuadraticPenalty)]

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        settings = self.settings
        if self.latest == 0 or settings.strength == 0:
            return {}
        c = settings.strength * (0.5 if settings.half else 1.0)
        if settings.online and settings.gamma_in_penalty:
            c *= settings.gamma
        total = torch.zeros((), device=self.context.device)
        for penalty in self._active(self.latest):
            total += penalty.add_gradient(self.weights, gradients, c)
        return {"penalty": total}

    def end_task(self) -> None:
        if self.latest < self.heads.num_tasks - 1:  # else no further task could cause forgetting
            self.keep_for_later()

    def keep_for_later(self) -> None:
        penalty = self._active(self.latest + 1)[-1]
        kept = self.settings.gamma if self.settings.online else 0.0
        for importance, fisher in zip(penalty.importance, self.fisher(), strict=True):
            importance.mul_(kept).add_(fisher)
        penalty.anchor_at(self.weights)

    def fisher(self) -> list[Tensor]:
        """Computes the diagonal Fisher information of the task just learned, one tensor for each of `weights`.

        It is that of the outputs that the task was trained with.
        """
        data = self.tasks[-1].train
        outputs = self.heads.trained(self.latest)
        rng = stream(self.context.seed, Stream.FISHER, self.latest)
        index = torch.randperm(len(data), generator=rng)[: self.settings.fisher_samples].to(self.context.device)
        batches = (data.batch(part) for part in index.split(BATCH))
        start = self.heads.own(self.latest).start - outputs.start
        marked = ((inputs, self.objective.within(labels, start)) for inputs, labels in batches)
        which = self.settings.fisher_labels
        return diagonal_fisher(self.network, marked, outputs, which, rng, self._way, self.objective)

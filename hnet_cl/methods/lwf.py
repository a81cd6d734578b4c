"""Learning without forgetting: the network before the task is distilled on the new task's inputs."""

from collections.abc import Sequence
from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.methods.parts.classifier import Classifier
from hnet_cl.methods.parts.distillation import distillation
from hnet_cl.methods.parts.snapshot import Snapshot


class LwF(Classifier):
    """A classifier with the loss L_new + strength * L_old (Li & Hoiem, ECCV 2016).

    L_old is the cross-entropy of softened outputs to those of the network before the task, on the new task's inputs,
    times T^2 if `square` (Hinton et al. 2015). Outputs under one softmax before the task are one term of it; `count`
    says whether a term counts `once`, or once for each of the old `tasks` that was trained under it.
    """

    class Settings(Classifier.Settings):
        strength: NonNegativeFloat
        temperature: PositiveFloat
        square: bool
        count: Literal["once", "tasks"]

    settings: Settings
    divisible = True

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self._teacher = Snapshot(self.network)
        before = [self.heads.trained(task, self.latest - 1) for task in range(self.latest)]
        terms = [outputs for place, outputs in enumerate(before) if outputs not in before[:place]]
        self._terms = [(one, before.count(one) if self.settings.count == "tasks" else 1) for one in terms]

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if not self._terms:
            return {}
        student, teacher = self.network(inputs), self._teacher(inputs)
        temperature = self.settings.temperature
        scale = 1.0 if self.settings.square else temperature**-2
        terms = [
            times * scale * distillation(student[:, one], teacher[:, one], temperature) for one, times in self._terms
        ]
        loss = sum(terms[1:], terms[0])
        self.differentiate(self.settings.strength * loss)
        return {"distillation": loss.detach()}

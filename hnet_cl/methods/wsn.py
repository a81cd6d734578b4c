"""WSN: each task finds the part of one network that it uses, and trains of it what no earlier task uses."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.supermasks import Supermasks
from hnet_cl.methods.parts.task_weights import TaskWeights


class WSN(TaskWeights):
    """A classifier by winning subnetworks (Kang et al., Forget-free continual learning, ICML 2022).

    Weights and a score for each weight are trained together. A task's mask lets through the share `kept` of each
    layer's weights, those with the largest absolute scores, also weights of earlier tasks. Weights in the mask of an
    earlier task do not change any more, whatever the optimiser. Scores go on from task to task.

    Biases are trained by the first task alone. A head that a task has for itself has no mask, and no other task
    changes it.
    """

    class Settings(TaskWeights.Settings):
        kept: Annotated[float, Field(gt=0, le=1)]

    settings: Settings

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.masked = self.layers[:-1] if self.own_heads else self.layers
        shapes = [self.weights[layer.weight].shape for layer in self.masked]
        self.masks = Supermasks(shapes, self.heads.num_tasks, settings.kept)
        self.masks.draw(stream(context.seed, Stream.SCORES))
        self._learning = False  # whether the newest task still trains its mask
        self._frozen: list[Tensor] = []  # for each of `weights`, which of its numbers must not change any more

    def optimized(self) -> Iterable[nn.Parameter]:
        return chain(super().optimized(), self.masks.scores)

    def weights_for(self, task: int) -> Sequence[Tensor]:
        weights = [*self.weights]
        masks = self.masks.trained() if self._learning and task == self.latest else self.masks.of(task)
        for layer, mask in zip(self.masked, masks, strict=True):
            weights[layer.weight] = weights[layer.weight] * mask
        return weights

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self._learning = True
        self._frozen = [torch.full_like(weight, self.latest > 0, dtype=torch.bool) for weight in self.weights]
        for layer in self.masked:
            self._frozen[layer.weight].fill_(False)
        for old in range(self.latest):
            for layer, mask in zip(self.masked, self.masks.of(old), strict=True):
                self._frozen[layer.weight] |= mask
        if self.own_heads:
            for place in self.head:
                self._frozen[place].fill_(True)[self.heads.own(self.latest)] = False

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        for gradient, frozen in zip(gradients, self._frozen, strict=True):
            gradient.masked_fill_(frozen, 0.0)
        return {}

    def step(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> dict[str, Tensor]:
        before = [weight.detach().clone() for weight in self.weights]
        losses = super().step(inputs, labels, tasks)
        with torch.no_grad():  # momentum and weight decay move weights without a gradient
            for weight, old, frozen in zip(self.weights, before, self._frozen, strict=True):
                weight.copy_(torch.where(frozen, old, weight))
        return losses

    def end_task(self) -> None:
        self.masks.keep(self.latest)
        self._learning = False

    def kept_bytes(self) -> dict[str, int]:
        found, scores = super().kept_bytes(), self.masks.score_bytes
        return found | {"masks": found["masks"] - scores, "scores": scores}

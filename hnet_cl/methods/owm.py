"""Orthogonal weight modification: weights move where the inputs of old tasks do not reach."""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.affine_layers import affine_layers, require_plain_layers, second_moments
from hnet_cl.methods.parts.examples import inputs_of
from hnet_cl.methods.parts.restricted import Restricted


class OWM(Restricted):
    """A classifier whose changes of [W, b] are multiplied by P = (I + A / alpha)^-1 (Zeng et al., Nature MI 2019).

    In each linear layer or convolution, A is the mean over old tasks of the mean of a a^T over their training examples,
    with a = [input; 1] as it was when the task had been learned (three-scenarios code). All layers are restricted, the
    output layer too. For directions that old inputs do not have, P is 1, and for others it is near 0.

    Where the task is not given, `softmax` says whether the loss is over the classes `seen` so far or over `all` of the
    sequence, so that classes to come are unlikely for old inputs, and stay so.
    """

    class Settings(Restricted.Settings):
        alpha: PositiveFloat
        softmax: Literal["seen", "all"]
        samples: PositiveInt | None

    settings: Settings
    divisible = True

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.layers = affine_layers(self.network, settings.name)
        for place, layer in enumerate(self.layers):
            width = layer.width(self.weights)
            self.register_buffer(f"moment_{place}", torch.zeros(width, width))
        self.projectors: list[Tensor] = []

    @property
    def moments(self) -> list[Tensor]:
        """Returns A of each layer (d, d)."""
        return [self.get_buffer(f"moment_{place}") for place in range(len(self.layers))]

    def inspect(self, inputs: Tensor) -> list[str]:
        require_plain_layers(self.network, self.layers, inputs, self.settings.name)
        return []

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.projectors = [projector(A, self.settings.alpha) for A in self.moments] if self.latest else []

    def loss(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> Tensor:
        if self.settings.softmax == "seen" or self.heads.task_known:
            return super().loss(inputs, labels, tasks)
        return self.task_loss(self.logits(inputs, self.latest), labels, slice(0, self.heads.num_outputs))

    @torch.no_grad()
    def restrict(self, changes: list[Tensor]) -> None:
        for layer, projection in zip(self.layers, self.projectors, strict=False):  # none in the first task
            layer.put(layer.joined(changes) @ projection, changes)

    def end_task(self) -> None:
        if self.latest < self.heads.num_tasks - 1:  # else no further task could cause forgetting
            self.keep_for_later()

    def keep_for_later(self) -> None:
        inputs = inputs_of(self.tasks[-1].train, self.settings.samples, self.context, self.latest)
        for moment, new in zip(self.moments, second_moments(self.network, self.layers, inputs), strict=True):
            moment.lerp_(new.to(moment.dtype), 1 / (self.latest + 1))


def projector(moment: Tensor, alpha: float) -> Tensor:
    """Computes (I + moment / alpha)^-1 (d, d) of a symmetric matrix without negative eigenvalues.

    It is what recursive least squares arrive at from I by P <- P - P a a^T P / (alpha' + a^T P a) for all inputs a,
    where alpha' is alpha times their number.
    """
    values, vectors = torch.linalg.eigh(moment.double())
    return ((vectors / (1 + values.clamp(min=0) / alpha)) @ vectors.T).to(moment.dtype)

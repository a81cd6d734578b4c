"""Synaptic intelligence (Zenke, Poole & Ganguli, ICML 2017), as in the three-scenarios code of van de Ven & Tolias."""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.classifier import Classifier
from hnet_cl.methods.parts.penalty import QuadraticPenalty


class SI(Classifier):
    """A classifier with the penalty strength * sum_i Omega_i (w_i - w*_i)^2.

    At each step of a task, omega_i grows by -g_i * (change of w_i), with g the gradient of the whole loss
    (`path_gradient=total`) or of the task's loss alone (`task`). At the end of the task Omega_i grows by
    omega_i / (D_i^2 + damping), with D the change of the weights over the task, and w* is set to the present weights.
    """

    class Settings(Classifier.Settings):
        strength: NonNegativeFloat
        damping: PositiveFloat
        path_gradient: Literal["total", "task"]

    settings: Settings
    divisible = True

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.penalty = QuadraticPenalty(self.weights)
        for i, weight in enumerate(self.weights):
            self.register_buffer(f"omega_{i}", torch.zeros_like(weight))

    @classmethod
    def unsupported_regression(cls, settings: Settings) -> None:
        return None

    @property
    def omega(self) -> list[Tensor]:
        """Returns the path integral omega of the present task, one tensor for each weight tensor."""
        return [self.get_buffer(f"omega_{i}") for i in range(len(self.weights))]

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        for omega in self.omega:
            omega.zero_()
        self.penalty.anchor_at(self.weights)

    def step(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> dict[str, Tensor]:
        assert self.optimizer is not None
        loss, gradients = self.backward(inputs, labels, tasks)
        slope = [gradient.clone() for gradient in gradients] if self.settings.path_gradient == "task" else gradients
        losses = {"loss": loss} | self.protect(inputs, labels, gradients)
        before = [weight.detach().clone() for weight in self.weights]
        self.optimizer.step()
        with torch.no_grad():
            moves = torch._foreach_sub(self.weights, before)
            torch._foreach_addcmul_(self.omega, slope, moves, value=-1)
        return losses

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        value = self.penalty.add_gradient(self.weights, gradients, self.settings.strength)
        return {"penalty": value} if self.latest else {}

    @torch.no_grad()
    def end_task(self) -> None:
        penalty = self.penalty
        for importance, omega, weight, start in zip(
            penalty.importance, self.omega, self.weights, penalty.anchor, strict=True
        ):
            importance.add_(omega / ((weight - start).square() + self.settings.damping))
        penalty.anchor_at(self.weights)

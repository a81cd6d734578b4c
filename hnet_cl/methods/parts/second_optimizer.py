"""Steps of two optimisers on one loss. A part of methods."""

from typing import ClassVar

import torch
from torch import Tensor

from hnet_cl.methods.parts.generated import Generated


class SecondOptimizer(Generated):
    """Moves, with every step of a method with generated weights, parameters beside those of its hypernetwork.

    Gradients of all of them come from the same loss.

    Attributes:
        second: the optimiser of these parameters; None where there are none to be moved.
        second_name: its name in the state of training.
    """

    second: torch.optim.Optimizer | None = None
    second_name: ClassVar[str]

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        if self.second is None:
            return super().step(inputs, labels)
        self.second.zero_grad()
        losses = super().step(inputs, labels)
        self.second.step()
        return losses

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return super().training_state() | ({} if self.second is None else {self.second_name: self.second})

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [*super().optimizers(), *([] if self.second is None else [self.second])]

"""The base class of methods that restrict the steps of training to what old tasks do not notice."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from hnet_cl.methods.parts.classifier import Classifier


class Restricted(Classifier):
    """A classifier whose weights move in some directions alone, which `restrict` chooses.

    `restricted` says what is restricted: the `gradient` before the optimiser, or the `step` that it has made. For
    gradient descent these are the same. Momentum, Adam and weight decay make other steps than the gradient's, and only
    `step` keeps these within bounds.
    """

    class Settings(Classifier.Settings):
        restricted: Literal["step", "gradient"]

    settings: Settings

    @abstractmethod
    def restrict(self, changes: list[Tensor]) -> None:
        """Restricts, in place, changes of the weights, or gradients, one for each of `weights`."""

    def step(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> dict[str, Tensor]:
        assert self.optimizer is not None
        loss, gradients = self.backward(inputs, labels, tasks)
        losses = {"loss": loss} | self.protect(inputs, labels, gradients)
        if self.settings.restricted == "gradient":
            self.restrict(gradients)
            self.optimizer.step()
            return losses
        before = [weight.detach().clone() for weight in self.weights]
        self.optimizer.step()
        with torch.no_grad():
            changes = torch._foreach_sub(self.weights, before)
            self.restrict(list(changes))
            torch._foreach_add_(before, changes)
            torch._foreach_copy_(self.weights, before)
        return losses

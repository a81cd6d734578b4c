"""Learners that can prove answers for a whole box of weights. A part of methods."""

from abc import ABC, abstractmethod

from torch import Tensor


class Certifying(ABC):
    """A learner with a box of weights for each task, whose answers it can prove for all weights in the box."""

    @property
    @abstractmethod
    def certifies(self) -> bool:
        """Tells whether it can do so in the present scenario and with the present network."""

    @abstractmethod
    def certified(self, inputs: Tensor, labels: Tensor, task: int) -> Tensor:
        """Tells for which inputs (b, *in_shape) all weights in the box of `task` give the right answer.

        Labels (b,) are those within the task. The result are booleans (b,).
        """

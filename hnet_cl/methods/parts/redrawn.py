"""Learners with random values that are drawn from a seed, which is all that is stored of them. A part of methods."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.base import Context, Learner


class Redrawn(Learner):
    """A learner with random values that training does not change; its state holds the seed instead.

    It stands first among the base classes of a learner.

    Attributes:
        seed_key: the name of the seed in the state.
        drawn_from: the seed: the run's, or that of the run whose state was loaded.
    """

    seed_key: ClassVar[str]

    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__(settings, context)
        self.drawn_from = context.seed

    @abstractmethod
    def redraw(self) -> None:
        """Draws the values from `drawn_from` in place of those that there are; called when a state is loaded."""

    def normal(self, kind: Stream, *size: int) -> Tensor:
        """Draws standard normal numbers of the given size; none where nothing has values, on torch's meta device."""
        device = self.context.device
        if device.type == "meta":
            return torch.empty(size, device=device)
        return torch.randn(size, generator=stream(self.drawn_from, kind), device="cpu").to(device)

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {self.seed_key: self.drawn_from}

    @torch.no_grad()
    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.drawn_from = state[self.seed_key]
        self.redraw()

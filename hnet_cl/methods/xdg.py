"""Context-dependent gating: for each task, a fixed random share of the hidden units is off."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.gates import Gated
from hnet_cl.methods.parts.redrawn import Redrawn


class XdG(Redrawn, Gated):
    """A classifier without any other protection (Masse, Grant & Freedman, PNAS 2018; alone as in three-scenarios code).

    `gated` is the share, rounded down, of the units of each hidden layer that are off. Which ones they are is drawn for
    each task and layer from the seed, which is all that has to be stored.
    """

    class Settings(Gated.Settings):
        gated: Annotated[float, Field(ge=0, lt=1)]

    settings: Settings
    divisible = True
    seed_key = "gates seed"

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self._gates: dict[int, list[Tensor]] = {}  # by task, once it has been asked for

    def gates(self, task: int) -> Sequence[Tensor]:
        if task not in self._gates:
            drawn = []
            for layer, units in enumerate(self.units):
                order = torch.randperm(units, generator=stream(self.drawn_from, Stream.GATES, task, layer))
                gates = torch.ones(units)
                gates[order[: int(self.settings.gated * units)]] = 0.0
                drawn.append(gates.to(self.context.device))
            self._gates[task] = drawn
        return self._gates[task]

    def redraw(self) -> None:
        self._gates.clear()

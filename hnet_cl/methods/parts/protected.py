"""A hypernetwork that learns one task after another and is held where it was on the old ones. A part of methods."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator, model_validator
from torch import nn

from hnet_cl.core import settings as base
from hnet_cl.core.chosen import Chosen
from hnet_cl.hypernet import (
    Hypernetwork,
    Interval,
    Layout,
    OutputRegularizer,
    RegularizedTraining,
    chunk_size_for,
)


class HypernetSettings(base.Settings):
    """Sizes of the hypernetwork; see `hnet_cl.hypernet.Hypernetwork`.

    `compression`, trainable over generated weights, chooses the chunk size for the network that is generated. With
    neither it nor `chunk_size`, the weights are generated in one piece.
    """

    task_embedding: base.Size
    chunk_embedding: Annotated[int, Field(ge=0, le=10**9)]
    chunk_size: base.Size | None
    compression: PositiveFloat | None
    hidden: list[base.Size]
    activation: Literal["relu", "elu", "sigmoid", "tanh"]

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.chunk_size is not None and self.compression is not None:
            raise ValueError(
                f"chunk_size={self.chunk_size} and compression={self.compression}: give one of them and set the other "
                "to null"
            )
        return self

    def make(self, layout: Layout, num_tasks: int) -> Hypernetwork:
        """A hypernetwork for these weights, drawn from torch's global generator."""
        sizes: dict[str, Any] = self.model_dump(exclude={"chunk_size", "compression", "activation"})
        chunk_size = self.chunk_size
        if self.compression is not None:
            chunk_size = chunk_size_for(self.compression, layout.total, num_tasks, **sizes)
        return Hypernetwork(layout, num_tasks, **sizes, chunk_size=chunk_size, activation=self.activation)

    def choices(self, hypernetwork: Hypernetwork) -> list[str]:
        """A line on what was chosen in making the hypernetwork and not given."""
        if self.compression is None:
            return []
        ratio = sum(p.numel() for p in hypernetwork.parameters()) / hypernetwork.layout.total
        above = "; no chunk size gives less" if ratio > self.compression else ""
        return [
            f"Chosen by {self.key('compression')}={self.compression:g}: {self.key('chunk_size')}="
            f"{hypernetwork.block_size} (ratio {ratio:.3g}{above})."
        ]


class ProtectionSettings(base.Settings):
    """`strength` (beta in the paper) weighs the regulariser, which `lookahead` has evaluated at the candidate step."""

    hypernet: HypernetSettings
    strength: NonNegativeFloat
    lookahead: bool
    regularizer: Chosen[OutputRegularizer]

    @field_validator("regularizer")
    @classmethod
    def _something_is_drawn(cls, regularizer: Chosen[OutputRegularizer]) -> Chosen[OutputRegularizer]:
        """A regulariser's own keys `sampled_...` say how much is drawn for a step; it is built only hours later."""
        for name, number in regularizer.settings:
            if name.startswith("sampled_") and number is not None and number < 1:
                raise ValueError(f"{name}={number}: give a positive number, or null for all")
        return regularizer

    def make_hypernetwork(self, layout: Layout, num_tasks: int) -> Hypernetwork:
        """A hypernetwork for these weights, drawn from torch's global generator."""
        return self.hypernet.make(layout, num_tasks)


class ProtectedTraining(RegularizedTraining):
    """The training of one task as the settings of a method have it.

    Args:
        hypernetwork: what is trained.
        task: the new task; all before it are old.
        settings: how it is protected.
        make_optimizer: builds an optimiser of given parameters.
        sampling: draws what the regulariser looks at.
        kept: for each old task, the intervals of its weights that count; None for all of them.
    """

    def __init__(
        self,
        hypernetwork: Hypernetwork,
        task: int,
        settings: ProtectionSettings,
        make_optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        rng: torch.Generator,
        kept: Sequence[Sequence[Interval]] | None = None,
    ) -> None:
        self.rng = rng
        super().__init__(
            hypernetwork,
            task,
            make_optimizer,
            settings.strength,
            lookahead=settings.lookahead,
            regularizer=lambda of, tasks: settings.regularizer.make(of, tasks, kept, rng),
        )

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        """Returns what steps move on beside the hypernetwork's parameters, by name."""
        theta, embedding = self.optimizers
        return {"theta optimizer": theta, "embedding optimizer": embedding, "regularized tasks": self.rng}

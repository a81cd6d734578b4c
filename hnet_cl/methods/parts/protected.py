"""A hypernetwork that learns one task after another and is held where it was on the old ones. A part of methods."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, field_validator
from torch import nn

from hnet_cl.core import settings as base
from hnet_cl.core.chosen import Chosen
from hnet_cl.hypernet import Hypernetwork, Interval, Layout, OutputRegularizer, RegularizedTraining


class HypernetSettings(base.Settings):
    """Sizes of the hypernetwork; see `hnet_cl.hypernet.Hypernetwork`."""

    task_embedding: base.Size
    chunk_embedding: Annotated[int, Field(ge=0, le=10**9)]
    chunk_size: base.Size | None
    hidden: list[base.Size]
    activation: Literal["relu", "elu", "sigmoid", "tanh"]


class ProtectionSettings(base.Settings):
    """`beta` weighs the regulariser, which `lookahead` evaluates at the optimiser's candidate step."""

    hypernet: HypernetSettings
    beta: NonNegativeFloat
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
        return Hypernetwork(layout, num_tasks, **self.hypernet.model_dump())


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
        sampling: torch.Generator,
        kept: Sequence[Sequence[Interval]] | None = None,
    ) -> None:
        self.sampling = sampling
        super().__init__(
            hypernetwork,
            task,
            make_optimizer,
            settings.beta,
            lookahead=settings.lookahead,
            regularizer=lambda of, tasks: settings.regularizer.make(of, tasks, kept, sampling),
        )

    def moving_parts(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        """Returns what steps move on beside the hypernetwork's parameters, by name."""
        theta, embedding = self.optimizers
        return {"theta optimizer": theta, "embedding optimizer": embedding, "regularized tasks": self.sampling}

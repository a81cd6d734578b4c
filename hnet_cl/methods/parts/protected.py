"""Settings and training of a hypernetwork whose output regulariser protects old tasks. A part of methods."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator, model_validator
from torch import nn

from hnet_cl.core import settings as base
from hnet_cl.core.chosen import Chosen
from hnet_cl.hypernet import (
    GramRegularizer,
    Hypernetwork,
    Init,
    Interval,
    Layout,
    OutputRegularizer,
    RegularizedTraining,
    chunk_size_for,
    operations_of_generation,
    operations_per_old_task,
)

UNNOTICED = 10**8  # operations, which take about a millisecond


class HypernetSettings(base.Settings):
    """Sizes of the hypernetwork; see `hnet_cl.hypernet.Hypernetwork`.

    `compression`, the ratio of trainable to generated weights, determines the chunk size. If neither it nor
    `chunk_size` is given, the weights are generated without chunking. `old_embeddings`: whether embeddings of old tasks
    rest or are trained on by the regulariser. `init`: how the generated weights start (`hnet_cl.hypernet.layout_for`).
    """

    task_embedding: base.Size
    chunk_embedding: Annotated[int, Field(ge=0, le=10**9)]
    chunk_size: base.Size | None
    compression: PositiveFloat | None
    hidden: list[base.Size]
    activation: Literal["relu", "elu", "sigmoid", "tanh"]
    old_embeddings: Literal["frozen", "plastic"]
    init: Init

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.chunk_size is not None and self.compression is not None:
            raise ValueError(
                f"chunk_size={self.chunk_size} and compression={self.compression}: give one of them and set the other "
                "to null"
            )
        return self

    def make(self, layout: Layout, num_tasks: int, kind: Callable[..., Hypernetwork] = Hypernetwork) -> Hypernetwork:
        """Builds a hypernetwork for the weights in `layout`, initialised from torch's global generator."""
        sizes = {name: getattr(self, name) for name in ("task_embedding", "chunk_embedding", "hidden")}
        chunk_size = self.chunk_size
        if self.compression is not None:
            pieces = None if layout.starts is None else layout.sizes
            chunk_size = chunk_size_for(self.compression, layout.total, num_tasks, **sizes, pieces=pieces)
        made = kind(layout, num_tasks, **sizes, chunk_size=chunk_size, activation=self.activation)
        made.plastic = self.old_embeddings == "plastic"
        return made

    def require_xavier(self, what: str) -> None:
        """Refuses the starts of weights, where a method generates `what` instead.

        Raises:
            ValueError: `init` is not xavier.
        """
        if self.init != "xavier":
            raise ValueError(f"hypernet.init={self.init}: is for weights, and {what}; set hypernet.init=xavier")

    def choices(self, hypernetwork: Hypernetwork) -> list[str]:
        """Returns a line with the chunk size that `compression` determined, or no line if the user chose it."""
        if self.compression is None:
            return []
        ratio = sum(p.numel() for p in hypernetwork.parameters()) / hypernetwork.layout.total
        above = "; no chunk size gives less" if ratio > self.compression else ""
        return [
            f"Chosen by {self.key('compression')}={self.compression:g}: {self.key('chunk_size')}="
            f"{hypernetwork.block_size} (ratio {ratio:.3g}{above})."
        ]


def grow(hypernetwork: Hypernetwork, layout: Layout, num_tasks: int) -> None:
    """Lets a hypernetwork generate the weights in `layout`, which begins with its own, for more tasks.

    What is new starts as torch's global generator says.
    """
    hypernetwork.add_weights(layout)
    while len(hypernetwork.task_embeddings) < num_tasks:
        hypernetwork.add_task()


class ProtectionSettings(base.Settings):
    """Settings of a hypernetwork and its regulariser; see `hnet_cl.hypernet.RegularizedTraining`.

    `strength` (beta in the paper) is the weight of the regulariser; `lookahead` evaluates it after the next step, and
    `update` says whether it shares a step with the task's loss or has one of its own.
    """

    hypernet: HypernetSettings
    strength: NonNegativeFloat
    lookahead: bool
    update: Literal["joint", "separate"]
    regularizer: Chosen[OutputRegularizer]

    @model_validator(mode="after")
    def _nothing_to_look_ahead_to(self) -> Self:
        if self.update == "separate" and self.lookahead:
            raise ValueError(
                "update=separate and lookahead=true: the regulariser has a step of its own, after that for the task's "
                "loss; set lookahead=false"
            )
        return self

    @field_validator("regularizer")
    @classmethod
    def _something_is_drawn(cls, regularizer: Chosen[OutputRegularizer]) -> Chosen[OutputRegularizer]:
        """Checks the regulariser's keys `sampled_...` here, as it is built only when the second task begins.

        Raises:
            ValueError: one of them is a number below 1.
        """
        for name, number in regularizer.settings:
            if name.startswith("sampled_") and number is not None and number < 1:
                raise ValueError(f"{name}={number}: give a positive number, or null for all")
        return regularizer

    def make_hypernetwork(self, layout: Layout, num_tasks: int) -> Hypernetwork:
        """Builds a hypernetwork for the weights in `layout`, initialised from torch's global generator."""
        return self.hypernet.make(layout, num_tasks)

    @property
    def make_regularizer(self) -> Callable[..., OutputRegularizer]:
        """Returns what builds the regulariser; its arguments are those of `OutputRegularizer`."""
        return self.regularizer.make

    def choices(self, hypernetwork: Hypernetwork) -> list[str]:
        """Returns a line for each setting that was chosen for the user, or that makes steps cost more than need be."""
        return [*self.hypernet.choices(hypernetwork), *self._cost(hypernetwork)]

    def _cost(self, hypernetwork: Hypernetwork) -> list[str]:
        """Returns a line if at the last task the exact regulariser takes more operations than generation."""
        old = len(hypernetwork.task_embeddings) - 1
        if self.regularizer.kind is not GramRegularizer or not self.strength or not old:
            return []
        each, generation = operations_per_old_task(hypernetwork), operations_of_generation(hypernetwork)
        drawn = min(self.regularizer.settings.sampled_tasks or old, old)
        if each * drawn <= max(generation, UNNOTICED):
            return []
        fewer = max(generation // each, 1)
        return [
            f"With {drawn} old tasks the exact regulariser takes {each * drawn / generation:.2g} times the operations "
            f"that generate the weights; {self.key('regularizer')}.sampled_tasks={fewer} draws {fewer} of them at each "
            "step."
        ]


class ProtectedTraining(RegularizedTraining):
    """`RegularizedTraining` of one task, configured by the settings of a method.

    Args:
        hypernetwork: the hypernetwork to train.
        task: the new task; all before it are old.
        settings: settings of the regulariser.
        make_optimizer: builds an optimiser of given parameters.
        rng: random stream of a regulariser that samples.
        kept: for each old task, the intervals of its weights that the regulariser covers; None for all weights.
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
            update=settings.update,
            regularizer=lambda of, tasks: settings.make_regularizer(of, tasks, kept, rng),
        )

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        """Returns by name the optimisers and the random stream that steps change."""
        theta, embedding = self.optimizers
        return {"theta optimizer": theta, "embedding optimizer": embedding, "regularized tasks": self.rng}

"""A hypernetwork that learns one task after another and is held where it was on the old ones. A part of methods."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from hnet_cl.core import settings as base
from hnet_cl.hypernet import (
    BlockRegularizer,
    ExplicitRegularizer,
    GramRegularizer,
    Hypernetwork,
    Interval,
    Layout,
    Lookahead,
    OutputRegularizer,
    Standstill,
    chunk_size_for,
)

REGULARIZERS: dict[str, type[OutputRegularizer]] = {"fast": GramRegularizer, "explicit": ExplicitRegularizer}


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
    """`strength`, the paper's beta, weighs the regulariser.

    That is a sum of squares over weights averaged over `regularized_tasks` old tasks.

    `regularized_blocks` generated blocks of old tasks stand for all where there are more.
    """

    hypernet: HypernetSettings
    strength: NonNegativeFloat
    lookahead: bool
    regularizer: Literal["fast", "explicit"]
    regularized_tasks: PositiveInt | None
    regularized_blocks: PositiveInt | None

    @model_validator(mode="after")
    def _one_sample(self) -> Self:
        if self.regularized_blocks is not None and (self.regularized_tasks is not None or self.regularizer != "fast"):
            raise ValueError(
                f"regularized_blocks={self.regularized_blocks} needs regularizer=fast and regularized_tasks=null: it "
                "is another way to draw"
            )
        return self

    @property
    def capturable(self) -> bool:
        """Whether every step's regulariser does the same on the device; looking for drawn tasks waits for it."""
        return self.regularized_tasks is None

    def make_regularizer(
        self, hypernetwork: Hypernetwork, tasks: Sequence[int], kept: Sequence[Sequence[Interval]] | None
    ) -> OutputRegularizer:
        """The regulariser of old tasks; by blocks only where these are fewer than there are."""
        if self.regularized_blocks is not None and self.regularized_blocks < len(tasks) * hypernetwork.num_chunks:
            return BlockRegularizer(hypernetwork, tasks, kept)
        return REGULARIZERS[self.regularizer](hypernetwork, tasks, kept)

    def make_hypernetwork(self, layout: Layout, num_tasks: int) -> Hypernetwork:
        """A hypernetwork for these weights, drawn from torch's global generator."""
        return self.hypernet.make(layout, num_tasks)


class ProtectedTraining:
    """The training of one task: optimisers for theta and the new embedding, and the regulariser of the old tasks.

    Old embeddings are in no optimiser, and the regulariser does not touch the new one. Nothing here is state beside
    the `optimizers` and the stream `sampling`: the rest follows from the hypernetwork as it is at construction.

    Args:
        hypernetwork: what is trained.
        task: the new task; all before it are old.
        make_optimizer: builds an optimiser of given parameters.
        sampling: draws the old tasks, or their blocks, of each step's regulariser.
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
        self.settings = settings
        self.task = task
        self.sampling = sampling
        self.theta = hypernetwork.theta
        self.optimizers = [
            make_optimizer(self.theta.values()),
            make_optimizer([hypernetwork.task_embeddings[task]]),
        ]
        self.regularizer: OutputRegularizer | None = None
        if task > 0 and settings.strength > 0:
            self.regularizer = settings.make_regularizer(hypernetwork, range(task), kept)
            distances = {self.theta[name]: distance for name, distance in self.regularizer.distances.items()}
            self.candidate: Callable[[], Sequence[Tensor]] = (
                Lookahead(self.optimizers[0], distances).candidate
                if settings.lookahead
                else Standstill(list(self.theta.values()), distances).candidate
            )

    def zero_grad(self) -> None:
        """Forgets the gradients of the last step."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> dict[str, Tensor]:
        """The optimisers' step with the task's gradients, which are there already, and the regulariser's.

        Returns the regulariser's value, where there is one.
        """
        losses = {} if self.regularizer is None else {"regularizer": self._protect(self.regularizer)}
        for optimizer in self.optimizers:
            optimizer.step()
        return losses

    def _protect(self, regularizer: OutputRegularizer) -> Tensor:
        """Adds beta * dR/dtheta, taken at the candidate step, to the gradients; returns R there (paper, Eq. 2)."""
        point = dict(zip(self.theta, self.candidate(), strict=True))
        gradients = {}
        for name, parameter in self.theta.items():
            assert parameter.grad is not None
            gradients[name] = parameter.grad
        chosen = regularizer.draw(self.settings.regularized_blocks or self.settings.regularized_tasks, self.sampling)
        return regularizer.add_gradients(point, gradients, self.settings.strength, chosen)

    def moving_parts(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        """What steps move on beside the hypernetwork's parameters."""
        theta, embedding = self.optimizers
        return {"theta optimizer": theta, "embedding optimizer": embedding, "regularized tasks": self.sampling}

"""HNET: a hypernetwork generates each task's weights and a regulariser keeps the old ones where they are.

von Oswald, Henning, Sacramento and Grewe, Continual learning with hypernetworks, ICLR 2020, sections 2 and 4.
"""

from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from hnet_cl import settings as base
from hnet_cl.errors import UserError
from hnet_cl.hypernet import (
    ExplicitRegularizer,
    GramRegularizer,
    Hypernetwork,
    Interval,
    Lookahead,
    OutputRegularizer,
    TargetNetwork,
)
from hnet_cl.methods.base import Learner, Prediction, Setup
from hnet_cl.seeding import seeded, stream

REGULARIZERS: dict[str, type[OutputRegularizer]] = {"fast": GramRegularizer, "explicit": ExplicitRegularizer}


class HypernetSettings(base.Settings):
    """Sizes of the hypernetwork; see `hnet_cl.hypernet.Hypernetwork`."""

    task_embedding: PositiveInt
    chunk_embedding: NonNegativeInt
    chunk_size: PositiveInt | None
    hidden: list[PositiveInt]
    activation: Literal["relu", "elu", "sigmoid", "tanh"]


class HNet(Learner):
    """The task is told at test time and selects the embedding."""

    needs_task = True

    class Settings(base.Settings):
        """`beta` weighs the regulariser, a sum of squares over weights averaged over `regularized_tasks` old tasks."""

        name: str
        hypernet: HypernetSettings
        beta: NonNegativeFloat
        lookahead: bool
        regularizer: Literal["fast", "explicit"]
        regularized_tasks: PositiveInt | None
        mask_heads: bool

    def __init__(self, settings: Settings, setup: Setup) -> None:
        super().__init__(settings, setup)
        module = setup.new_target(self.heads.num_outputs, "target")
        self.target = TargetNetwork(module)
        self.output_layer = output_layer(module, self.heads.num_outputs) if settings.mask_heads else ()
        self.task_buffers: dict[int, dict[str, Tensor]] = {}
        sizes = settings.hypernet.model_dump()
        with seeded(setup.seed, "init", "hypernetwork"):
            self.hypernetwork = Hypernetwork(self.target.layout, self.heads.num_tasks, **sizes).to(setup.device)

    @property
    def target_size(self) -> int:
        return self.target.layout.total

    def begin_task(self, task: int) -> None:
        super().begin_task(task)
        self.task_buffers[task] = self.target.fresh_buffers()
        theta = list(self.hypernetwork.theta.values())
        self.optimizers = [
            self.setup.make_optimizer(theta),
            self.setup.make_optimizer([self.hypernetwork.task_embeddings[task]]),
        ]
        self.lookahead = Lookahead(self.optimizers[0]) if self.settings.lookahead else None
        self.sampling = stream(self.setup.seed, "regularized tasks", task)
        self.regularizer: OutputRegularizer | None = None
        if task > 0 and self.settings.beta > 0:
            kept = [self._kept(old) for old in range(task)] if self.settings.mask_heads else None
            self.regularizer = REGULARIZERS[self.settings.regularizer](self.hypernetwork, range(task), kept)

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        logits = self._logits(self.target.train(), inputs, self.latest)
        loss = self.cross_entropy(logits, labels, self.heads.own(self.latest))
        loss.backward()
        losses = {"loss": loss.detach()}
        if self.regularizer is not None:
            losses["regularizer"] = self._protect(self.regularizer)
        for optimizer in self.optimizers:
            optimizer.step()
        return losses

    def _protect(self, regularizer: OutputRegularizer) -> Tensor:
        """Adds beta * dR/dtheta, taken at the candidate step, to the gradients; returns R there (paper, Eq. 2)."""
        theta = self.hypernetwork.theta
        point = self.lookahead.candidate() if self.lookahead else list(theta.values())
        value = regularizer(dict(zip(theta, point, strict=True)), self._sample_tasks())
        for parameter, gradient in zip(theta.values(), torch.autograd.grad(value, point), strict=True):
            assert parameter.grad is not None
            parameter.grad.add_(gradient, alpha=self.settings.beta)
        return value.detach()

    def _sample_tasks(self) -> Tensor | None:
        """Positions of the old tasks in this step's regulariser: a uniform draw, or None for all of them."""
        number = self.settings.regularized_tasks
        if number is None or number >= self.latest:
            return None
        return torch.randperm(self.latest, generator=self.sampling)[:number].to(self.setup.device)

    def _kept(self, task: int) -> list[Interval]:
        """Weights that the predictions of `task` depend on: all but the other tasks' rows of the output layer."""
        return self.target.layout.without_other_rows(self.output_layer, self.heads.own(task))

    def _logits(self, target: TargetNetwork, inputs: Tensor, task: int) -> Tensor:
        return target(self.hypernetwork(task), inputs, self.task_buffers[task])

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        assert task is not None
        logits = self._logits(self.target.train(False), inputs, task)[:, self.heads.own(task)]
        return Prediction(self.heads.label(logits.argmax(1), task))

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"task_buffers": self.task_buffers}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.task_buffers = state["task_buffers"]


def output_layer(module: nn.Module, num_outputs: int) -> tuple[str, ...]:
    """Names of the parameters of the last linear layer.

    Raises:
        UserError: there is no linear layer with one row for each output, so its rows cannot be told apart.
    """
    for prefix, layer in reversed(list(module.named_modules())):
        if isinstance(layer, nn.Linear):
            if layer.out_features == num_outputs:
                return tuple(f"{prefix}.{name}" if prefix else name for name, _ in layer.named_parameters())
            break
    raise UserError(
        f"method.mask_heads=true: the last nn.Linear of {type(module).__name__} does not have {num_outputs} outputs, "
        "so the heads' rows cannot be told apart; set method.mask_heads=false"
    )

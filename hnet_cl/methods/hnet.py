"""HNET: a hypernetwork generates each task's weights and a regulariser keeps the old ones where they are.

von Oswald, Henning, Sacramento and Grewe, Continual learning with hypernetworks, ICLR 2020, sections 2 and 4.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.func import vmap

from hnet_cl import settings as base
from hnet_cl.benchmarks.base import Task
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
from hnet_cl.methods.inference import ByEntropy, Given, least_entropy
from hnet_cl.scenario import ScenarioSettings, gather_heads
from hnet_cl.seeding import seeded, stream

GROUP_NUMBERS = 50_000_000  # float32 numbers, 200 MB; for how many tasks are evaluated at a time

REGULARIZERS: dict[str, type[OutputRegularizer]] = {"fast": GramRegularizer, "explicit": ExplicitRegularizer}


class HypernetSettings(base.Settings):
    """Sizes of the hypernetwork; see `hnet_cl.hypernet.Hypernetwork`."""

    task_embedding: PositiveInt
    chunk_embedding: NonNegativeInt
    chunk_size: PositiveInt | None
    hidden: list[PositiveInt]
    activation: Literal["relu", "elu", "sigmoid", "tanh"]


class HNet(Learner):
    """The task selects the embedding; it is told at test time, or inferred (HNET+ENT)."""

    class Settings(base.Settings):
        """`beta` weighs the regulariser, a sum of squares over weights averaged over `regularized_tasks` old tasks."""

        name: str
        hypernet: HypernetSettings
        beta: NonNegativeFloat
        lookahead: bool
        regularizer: Literal["fast", "explicit"]
        regularized_tasks: PositiveInt | None
        mask_heads: bool
        new_embedding: Literal["random", "previous"]
        task_inference: Annotated[Given | ByEntropy, Field(discriminator="kind")]

    def __init__(self, settings: Settings, setup: Setup) -> None:
        super().__init__(settings, setup)
        module = setup.new_target(self.heads.num_outputs, "target")
        self.target = TargetNetwork(module)
        self.convolutional = any(isinstance(layer, nn.Conv2d) for layer in module.modules())
        self.output_layer = output_layer(module, self.heads.num_outputs) if settings.mask_heads else ()
        self.task_buffers: dict[int, dict[str, Tensor]] = {}
        sizes = settings.hypernet.model_dump()
        with seeded(setup.seed, "init", "hypernetwork"):
            self.hypernetwork = Hypernetwork(self.target.layout, self.heads.num_tasks, **sizes).to(setup.device)

    @classmethod
    def undefined(cls, settings: Settings, scenario: ScenarioSettings) -> str | None:
        if settings.task_inference.kind == "given" and not scenario.task_known:
            return "the task is not told at test time and the method does not infer it; use scenario=cl1 or hnet_ent"
        return None

    @property
    def target_size(self) -> int:
        return self.target.layout.total

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        task = self.latest
        self.task_buffers[task] = self.target.fresh_buffers()
        if task > 0 and self.settings.new_embedding == "previous":
            with torch.no_grad():
                self.hypernetwork.task_embeddings[task].copy_(self.hypernetwork.task_embeddings[task - 1])
        theta = list(self.hypernetwork.theta.values())
        # for theta and for the new embedding, which the regulariser does not touch; old embeddings are in neither
        self.optimizers = [
            self.setup.make_optimizer(theta),
            self.setup.make_optimizer([self.hypernetwork.task_embeddings[task]]),
        ]
        self.sampling = stream(self.setup.seed, "regularized tasks", task)
        self.regularizer: OutputRegularizer | None = None
        self.lookahead: Lookahead | None = None
        if task > 0 and self.settings.beta > 0:
            self.lookahead = Lookahead(self.optimizers[0]) if self.settings.lookahead else None
            kept = [self._kept(old) for old in range(task)] if self.settings.mask_heads else None
            self.regularizer = REGULARIZERS[self.settings.regularizer](self.hypernetwork, range(task), kept)

    def moving_parts(self) -> Mapping[str, torch.optim.Optimizer | torch.Generator]:
        theta, embedding = self.optimizers
        return {"theta": theta, "embedding": embedding, "sampling": self.sampling}

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
        self.target.train(False)
        if task is None:
            return self._infer(inputs)
        logits = self._logits(self.target, inputs, task)[:, self.heads.own(task)]
        return Prediction(self.heads.label(logits.argmax(1), task))

    def _infer(self, inputs: Tensor) -> Prediction:
        """Answers with the network of the task that fits each input best, of all tasks learned so far."""
        inference = self.settings.task_inference
        assert isinstance(inference, ByEntropy)
        candidates = range(self.latest + 1)
        logits = torch.cat([self._own_logits(inputs, part) for part in self._groups(candidates, len(inputs))])
        tasks, surest = least_entropy(logits, inference.temperature)
        labels = logits[tasks, torch.arange(len(inputs), device=tasks.device)].argmax(1)
        starts = torch.tensor([self.heads.own(task).start for task in candidates], device=tasks.device)
        return Prediction(labels + starts[tasks], tasks, surest)

    def _groups(self, tasks: Sequence[int], batch: int) -> list[Sequence[int]]:
        """Tasks that are evaluated together: as many as `GROUP_NUMBERS` weights and logits allow.

        Hidden activations are not counted: with convolutions, eval_batch_size has to be chosen with them in mind.
        """
        size = max(1, GROUP_NUMBERS // (self.target_size + batch * self.heads.num_outputs))
        return [tasks[start : start + size] for start in range(0, len(tasks), size)]

    def _own_logits(self, inputs: Tensor, tasks: Sequence[int]) -> Tensor:
        """Logits (T, b, C) of each task's own head, from its own network."""
        features = self.hypernetwork.features(self.hypernetwork.embeddings(tasks))
        weights = self.hypernetwork.generate(features)
        buffers = [self.task_buffers[task] for task in tasks]
        if self.convolutional:  # of several, vmap makes one with groups, which takes three times as long
            logits = torch.stack([self.target(w, inputs, own) for w, own in zip(weights, buffers, strict=True)])
        else:
            stacked = {name: torch.stack([own[name] for own in buffers]) for name in buffers[0]}
            logits = vmap(self.target, in_dims=(0, None, 0), randomness="error")(weights, inputs, stacked)
        return gather_heads(logits, self.heads, tasks)

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"task_buffers": self.task_buffers}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.task_buffers = {
            task: {name: buffer.to(self.setup.device, copy=True) for name, buffer in buffers.items()}
            for task, buffers in state["task_buffers"].items()
        }


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

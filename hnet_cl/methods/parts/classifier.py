"""The base class of fine-tuning, EWC, SI, replay and joint training: one plain network for all tasks."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core import settings as base
from hnet_cl.hypernet import copied, trainable
from hnet_cl.methods.base import Context, Learner, Prediction
from hnet_cl.methods.parts.distillation import masks, only
from hnet_cl.methods.parts.extension import optimizer_state_for
from hnet_cl.scenario import ScenarioSettings


class Classifier(Learner):
    """One network that is trained on one task after another; subclasses add the protection of old tasks.

    In CL3 (class-incremental learning) its softmax is over the heads of all tasks so far, and it predicts any of their
    outputs.

    Subclasses override what they need: `training_data`, the `loss` on a batch, `protect`, which changes the gradients
    for the sake of old tasks, and `end_task`, which stores what the method needs later.
    """

    class Settings(base.Settings):
        name: str
        reset_optimizer: bool

    settings: Settings
    unextendable: ClassVar[str | None] = None
    new_share = 1.0  # weight of the new data's loss

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.network = self.new_network()
        self.optimizer: torch.optim.Optimizer | None = None

    def new_network(self) -> nn.Module:
        """Builds the network with its initial weights."""
        return self.context.new_target(self.heads.num_outputs)

    @classmethod
    def unsupported(cls, settings: Any, scenario: ScenarioSettings) -> str | None:
        if scenario.must_infer:
            return "it does not infer the task through which separate heads are read; use scenario.heads=shared"
        return None

    @property
    def asks_task(self) -> bool:
        return self.heads.separate

    @property
    def target_size(self) -> int:
        return sum(weight.numel() for weight in self.weights)

    @property
    def weights(self) -> list[Tensor]:
        """Returns the network's trainable parameters."""
        return [*trainable(self.network).values()]

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        seen = range(self.latest + 1)
        trained = [self.heads.trained(task, self.latest) for task in seen]
        self.trained_outputs = masks(trained, self.heads.num_outputs, self.context.device)
        self._starts = torch.tensor([self.heads.own(task).start for task in seen], device=self.context.device)
        if self.optimizer is None or self.settings.reset_optimizer:
            self.optimizer = self.context.make_optimizer(self.optimized())

    def optimized(self) -> Iterable[nn.Parameter]:
        """Returns the parameters that the optimiser moves."""
        return trainable(self.network).values()

    @property
    def capturable(self) -> bool:
        return True

    def step(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> dict[str, Tensor]:
        assert self.optimizer is not None
        loss, gradients = self.backward(inputs, labels, tasks)
        losses = {"loss": loss} | self.protect(inputs, labels, gradients)
        self.optimizer.step()
        return losses

    def backward(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Computes the gradient of `new_share` times the loss on a batch, with the arguments of `step`.

        Returns:
            The detached loss (without `new_share`), and the gradients that the optimiser will use, one for each of
            `weights`; zero for a weight that was not used.
        """
        assert self.optimizer is not None
        self.optimizer.zero_grad()
        self.network.train()
        loss = self.loss(inputs, labels, tasks)
        self.differentiate(self.new_share * loss)
        gradients = []
        for weight in self.weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            gradients.append(weight.grad)
        return loss.detach(), gradients

    def loss(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> Tensor:
        """Computes the mean loss of examples under the outputs of their task: `tasks` (b,), or the newest.

        This is the loss that is logged; `new_share` times it is minimised, besides the protection of old tasks.
        """
        logits = self.logits(inputs, self.latest)
        if tasks is None:
            return self.task_loss(logits, labels, self.heads.trained(self.latest))
        return self.objective.loss(only(logits, self.trained_outputs[tasks]), labels, self._starts[tasks])

    def logits(self, inputs: Tensor, task: int | None) -> Tensor:
        """Computes all logits (b, outputs) of inputs (b, *in_shape), of `task` if it is known; it is in training."""
        found: Tensor = self.network(inputs)
        return found

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        """Changes the gradients to protect old tasks, in place or by another backward pass; returns losses to log.

        Args:
            inputs: inputs of the step (b, *in_shape).
            labels: their within-task labels (b,).
            gradients: gradients of `new_share` times the loss on them, one for each of `weights`.
        """
        return {}

    def task_network(self, task: int) -> tuple[nn.Module, slice] | None:
        return copied(self.network), self.heads.own(task)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        assert self.optimizer is not None
        return [self.optimizer, *super().optimizers()]

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        outputs = self.heads.read(task, self.latest)
        self.network.eval()
        logits = self.logits(inputs, task)[:, outputs]
        return Prediction(self.objective.predicted(logits, outputs.start), logits=logits)

    def get_extra_state(self) -> dict[str, Any]:
        kept = None if self.optimizer is None else self.optimizer.state_dict()
        return super().get_extra_state() | {"optimizer": kept}

    def extra_state_after(self, former: Any) -> dict[str, Any]:
        state = super().extra_state_after(former)
        if state["optimizer"] is not None:
            state["optimizer"] = optimizer_state_for(state["optimizer"], [*former.optimized()], [*self.optimized()])
        return state

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        if state["optimizer"] is not None:
            self.optimizer = self.context.make_optimizer(self.optimized())
            self.optimizer.load_state_dict(state["optimizer"])

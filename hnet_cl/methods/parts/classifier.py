"""What fine-tuning, EWC, SI, replay and joint training have in common: one plain network for all tasks."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core import settings as base
from hnet_cl.hypernet import trainable
from hnet_cl.methods.base import FIRST, Learner, Prediction, Setup
from hnet_cl.methods.parts.network import rehearse_module
from hnet_cl.scenario import ScenarioSettings


class Classifier(Learner):
    """One network learns task after task; subclasses say what protects the old ones.

    In CL3 its softmax spans the heads of all tasks so far, and it answers with any of their outputs.
    """

    class Settings(base.Settings):
        name: str
        reset_optimizer: bool

    settings: Settings
    new_share = 1.0  # weight of the new data's loss

    def __init__(self, settings: Settings, setup: Setup) -> None:
        super().__init__(settings, setup)
        self.network = self.new_network()
        self.optimizer: torch.optim.Optimizer | None = None

    def new_network(self) -> nn.Module:
        """The network as it starts."""
        return self.setup.new_target(self.heads.num_outputs, *FIRST)

    @classmethod
    def undefined(cls, settings: Any, scenario: ScenarioSettings) -> str | None:
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
        """The network's trainable parameters."""
        return [*trainable(self.network).values()]

    def inspect(self, inputs: Tensor) -> list[str]:
        rehearse_module(self.network, inputs, self.heads.num_outputs)
        return []

    @property
    def gradients(self) -> list[Tensor]:
        """The parameters' gradients after a backward pass; zero where a parameter took no part."""
        for weight in self.weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        return [weight.grad for weight in self.weights if weight.grad is not None]

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        if self.optimizer is None or self.settings.reset_optimizer:
            self.optimizer = self.setup.make_optimizer(trainable(self.network).values())

    @property
    def capturable(self) -> bool:
        return True

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        assert self.optimizer is not None
        self.optimizer.zero_grad()
        self.network.train()
        loss = self.loss(inputs, labels)
        (self.new_share * loss).backward()
        losses = {"loss": loss.detach()} | self.protect()
        self.optimizer.step()
        return losses

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Loss on new data, as it is logged; `new_share` times it is minimised beside the protection of old tasks."""
        return self.cross_entropy(self.network(inputs), labels, self.heads.trained(self.latest))

    def protect(self) -> dict[str, Tensor]:
        """Adds the gradient of whatever protects old tasks to the parameters' gradients; returns its losses."""
        return {}

    def optimizers(self) -> list[torch.optim.Optimizer]:
        assert self.optimizer is not None
        return [self.optimizer, *super().optimizers()]

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        outputs = self.heads.read(task, self.latest)
        self.network.eval()
        logits = self.network(inputs)[:, outputs]
        return Prediction(logits.argmax(1) + outputs.start, logits=logits)

    def get_extra_state(self) -> dict[str, Any]:
        kept = None if self.optimizer is None else self.optimizer.state_dict()
        return super().get_extra_state() | {"optimizer": kept}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        if state["optimizer"] is not None:
            self.optimizer = self.setup.make_optimizer(trainable(self.network).values())
            self.optimizer.load_state_dict(state["optimizer"])

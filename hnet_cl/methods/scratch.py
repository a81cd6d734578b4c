"""Training from scratch: a new network for each task, the reference without forgetting and without transfer."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.hypernet import copied, trainable
from hnet_cl.methods.base import Context, Prediction
from hnet_cl.methods.parts.inferring import InferringLearner, InferringSettings
from hnet_cl.methods.parts.network import share_frozen
from hnet_cl.methods.parts.task_networks import SeparateNetworks


class Scratch(InferringLearner):
    """One network with its own initialisation per task.

    At test time the task is given, or inferred by a rule that chooses among the networks, of which none has forgotten
    anything. That is a reference for the rule, not an upper bound: networks that share something may be easier to tell
    apart. Where the task is given, each network has the outputs of its own task alone; where it is inferred, each has
    all outputs, as a generated network would, so that rules find the same in both.
    """

    Settings = InferringSettings
    divisible = True

    def __init__(self, settings: InferringSettings, context: Context) -> None:
        super().__init__(settings, context)
        slices = [self._outputs(task) for task in range(self.heads.num_tasks)]
        sizes = [own.stop if self.heads.task_known else self.heads.num_outputs for own in slices]
        self.networks = nn.ModuleList(context.new_target(size, task) for task, size in enumerate(sizes))
        share_frozen([*self.networks])
        self._asked = SeparateNetworks(self.networks, context)
        self.choose_rule(settings.task_inference, context, self._asked)

    def trained(self) -> Iterable[nn.Parameter]:
        return [*self.networks[0].parameters(), *self.task_inference.parameters()]

    @classmethod
    def unsupported_regression(cls, settings: Any) -> None:
        return None

    @property
    def target_size(self) -> int:
        return sum(weight.numel() for weight in trainable(self.networks[0]).values())

    def inspect(self, inputs: Tensor) -> list[str]:
        if not self.heads.task_known:
            self._asked.require_exchangeable(inputs)
        return super().inspect(inputs)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.optimizer = self.context.make_optimizer(trainable(self.networks[self.latest]).values())
        self.task_inference.begin_task(tasks)

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return {"optimizer": self.optimizer} | super().training_state()

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.optimizer, *super().optimizers()]

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.optimizer.zero_grad()
        logits = self.networks[self.latest].train()(inputs)
        loss = self.objective.loss(logits[:, self._outputs(self.latest)], labels)
        self.differentiate(loss)
        self.optimizer.step()
        return {"loss": loss.detach()} | self.step_rule(inputs, labels)

    def task_network(self, task: int) -> tuple[nn.Module, slice]:
        return copied(self.networks[task]), self._outputs(task)

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        self.networks.eval()
        if task is None:
            return self.infer(inputs)
        logits = self.networks[task](inputs)[:, self._outputs(task)]
        return Prediction(self.objective.predicted(logits, self.heads.own(task).start), logits=logits)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self._asked.renew()

    def _outputs(self, task: int) -> slice:
        """Returns the task's own outputs among those of its network."""
        own = self.heads.own(task)
        return slice(0, own.stop - own.start) if self.heads.task_known else own

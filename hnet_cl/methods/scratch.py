"""Training from scratch: a new network for each task, the reference without forgetting and without transfer."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core import settings as base
from hnet_cl.hypernet import copied, trainable
from hnet_cl.methods.base import Context, Learner, Prediction
from hnet_cl.scenario import ScenarioSettings


class Scratch(Learner):
    """One network with its own initialisation per task. The task must be known at test time to select the network."""

    class Settings(base.Settings):
        """The name, as there is nothing to choose."""

        name: str

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        heads = self.heads
        sizes = [heads.own(task).stop - heads.own(task).start for task in range(heads.num_tasks)]
        self.networks = nn.ModuleList(context.new_target(size, t) for t, size in enumerate(sizes))

    def trained(self) -> Iterable[nn.Parameter]:
        return self.networks[0].parameters()

    @classmethod
    def unsupported(cls, settings: Settings, scenario: ScenarioSettings) -> str | None:
        return None if scenario.task_known else "one network per task needs the task at test time; use scenario=cl1"

    @classmethod
    def unsupported_regression(cls, settings: Settings) -> None:
        return None

    @property
    def target_size(self) -> int:
        return sum(weight.numel() for weight in trainable(self.networks[0]).values())

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.optimizer = self.context.make_optimizer(trainable(self.networks[self.latest]).values())

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return {"optimizer": self.optimizer}

    @property
    def capturable(self) -> bool:
        return True

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.optimizer.zero_grad()
        network = self.networks[self.latest].train()
        loss = self.objective.loss(network(inputs), labels)
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def task_network(self, task: int) -> tuple[nn.Module, slice]:
        own = self.heads.own(task)
        return copied(self.networks[task]), slice(0, own.stop - own.start)

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        assert task is not None
        logits = self.networks[task].eval()(inputs)
        return Prediction(self.objective.predicted(logits, self.heads.own(task).start), logits=logits)

"""From scratch: a fresh network for each task. Nothing is forgotten and nothing transferred: the reference."""

import torch
from torch import Tensor, nn

from hnet_cl import settings as base
from hnet_cl.methods.base import Learner, Prediction, Setup


class Scratch(Learner):
    """One network with its own initialisation per task. To choose among them the task must be known."""

    needs_task = True

    class Settings(base.Settings):
        """Nothing to choose but the name."""

        name: str

    def __init__(self, settings: Settings, setup: Setup) -> None:
        super().__init__(settings, setup)
        heads = self.heads
        sizes = [heads.own(task).stop - heads.own(task).start for task in range(heads.num_tasks)]
        self.networks = nn.ModuleList(setup.new_target(size, "target", t) for t, size in enumerate(sizes))

    @property
    def target_size(self) -> int:
        return sum(parameter.numel() for parameter in self.networks[0].parameters())

    def begin_task(self, task: int) -> None:
        super().begin_task(task)
        self.optimizers = [self.setup.make_optimizer(self.networks[task].parameters())]

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        (optimizer,) = self.optimizers
        optimizer.zero_grad()
        network = self.networks[self.latest].train()
        loss = nn.functional.cross_entropy(network(inputs), labels)
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        assert task is not None
        return Prediction(self.heads.label(self.networks[task].eval()(inputs).argmax(1), task))

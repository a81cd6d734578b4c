"""Fine-tuning: one network learns task after task and nothing protects the old ones. The lower bound."""

import torch
from torch import Tensor

from hnet_cl import settings as base
from hnet_cl.methods.base import Learner, Prediction, Setup


class Finetune(Learner):
    """A plain classifier, in every scenario. Its optimiser starts anew with each task."""

    class Settings(base.Settings):
        """Nothing to choose but the name."""

        name: str

    def __init__(self, settings: Settings, setup: Setup) -> None:
        super().__init__(settings, setup)
        self.network = setup.new_target(self.heads.num_outputs, "target")

    @property
    def target_size(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    def begin_task(self, task: int) -> None:
        super().begin_task(task)
        self.optimizers = [self.setup.make_optimizer(self.network.parameters())]

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        (optimizer,) = self.optimizers
        optimizer.zero_grad()
        self.network.train()
        loss = self.cross_entropy(self.network(inputs), labels, self.heads.trained(self.latest))
        loss.backward()
        optimizer.step()
        return {"loss": loss.detach()}

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        outputs = self.heads.read(task, self.latest)
        self.network.eval()
        return Prediction(self.network(inputs)[:, outputs].argmax(1) + outputs.start)

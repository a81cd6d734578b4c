"""Joint training: the network keeps learning from the data of all tasks so far. The upper bound."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.parts.classifier import Classifier


class Joint(Classifier):
    """Each step's batch is drawn uniformly from the training data of all tasks so far, each under its own head.

    The trainer's batch, which holds the new task alone, is left aside; its size is kept.
    """

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.draws = stream(self.setup.seed, Stream.SAMPLE_CLASSIFIER_BATCHES, self.latest)
        sizes = torch.tensor([len(task.train) for task in tasks])
        self.borders = sizes.cumsum(0)

    @property
    def capturable(self) -> bool:
        return False  # how many examples of each task a batch has is known on the processor alone

    def moving_parts(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return {"draws": self.draws}

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of as many examples of all tasks so far, all in one forward pass of the network."""
        size = len(labels)
        index = torch.randint(int(self.borders[-1]), (size,), generator=self.draws)
        owner = torch.searchsorted(self.borders, index, right=True)
        parts = []
        for task in self.tasks:
            here = index[owner == task.id] - (self.borders[task.id] - len(task.train))
            if len(here):
                parts.append((task, *task.train.batch(here.to(self.setup.device), self.draws)))
        logits = self.network(torch.cat([inputs for _, inputs, _ in parts]))
        total = logits.new_zeros(())
        for (task, _, own), part in zip(parts, logits.split([len(own) for _, _, own in parts]), strict=True):
            outputs = self.heads.trained(task.id, self.latest)
            target = self.heads.label(own, task.id) - outputs.start
            total = total + torch.nn.functional.cross_entropy(part[:, outputs], target, reduction="sum")
        return total / size

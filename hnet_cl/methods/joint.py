"""Joint training: the network keeps learning from the data of all tasks so far. The upper bound."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.methods.classifier import Classifier
from hnet_cl.seeding import stream


class Joint(Classifier):
    """Each step's batch is drawn uniformly from the training data of all tasks so far, each under its own head.

    The trainer's batch, which holds the new task alone, is left aside; its size is kept.
    """

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.draws = stream(self.setup.seed, "joint batches", self.latest)
        sizes = torch.tensor([len(task.train) for task in tasks])
        self.borders = sizes.cumsum(0)

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        assert self.optimizer is not None
        self.optimizer.zero_grad()
        self.network.train()
        loss = self._loss(len(labels))
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def _loss(self, size: int) -> Tensor:
        """Mean cross-entropy of `size` examples, all in one forward pass of the network."""
        index = torch.randint(int(self.borders[-1]), (size,), generator=self.draws)
        owner = torch.searchsorted(self.borders, index, right=True)
        parts = []
        for task in self.tasks:
            here = index[owner == task.id] - (self.borders[task.id] - len(task.train))
            if len(here):
                parts.append((task, *task.train.batch(here.to(self.setup.device))))
        logits = self.network(torch.cat([inputs for _, inputs, _ in parts]))
        total = logits.new_zeros(())
        for (task, _, labels), own in zip(parts, logits.split([len(labels) for _, _, labels in parts]), strict=True):
            outputs = self.heads.own(task.id) if self.heads.task_known else self.heads.seen(self.latest)
            target = self.heads.label(labels, task.id) - outputs.start
            total = total + torch.nn.functional.cross_entropy(own[:, outputs], target, reduction="sum")
        return total / size

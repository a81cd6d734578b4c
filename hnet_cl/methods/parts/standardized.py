"""Task inference by scores that are standardised for each task, as their scales differ between networks."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.inference import ScoredInference
from hnet_cl.methods.parts.task_networks import Candidates, TaskNetworks

BATCH = 500  # training examples at a time; does not affect the result


class StandardizedInference(ScoredInference):
    """A rule whose scores are so many standard deviations from the mean over the training data of the scored task.

    Mean and standard deviation of a task are those of its network's score right after the task was learned. They belong
    to the state. Where all training examples have the same score, the deviation is taken as 1.
    """

    means: Tensor
    deviations: Tensor

    def __init__(self, settings: Any, context: Context, networks: TaskNetworks) -> None:
        super().__init__(settings, context, networks)
        for name, value in (("means", 0.0), ("deviations", 1.0)):
            self.register_buffer(name, torch.full((context.heads.num_tasks,), value))

    @abstractmethod
    def raw(self, logits: Tensor) -> Tensor:
        """Computes scores (...) from logits (..., C), in which -inf stands for absent classes; less fits better."""

    def scores(self, candidates: Candidates) -> Tensor:
        tasks = slice(len(candidates.tasks))
        return (self.raw(candidates.logits) - self.means[tasks, None]) / self.deviations[tasks, None]

    def begin_task(self, tasks: Sequence[Task]) -> None:
        self._task = tasks[-1]

    @torch.no_grad()
    def end_task(self) -> None:
        """Measures the scores of the task just learned on its training data, without augmentation."""
        task, data = self._task.id, self._task.train
        own = self.networks.heads.own(task)
        parts = (data.batch(slice(start, start + BATCH))[0] for start in range(0, len(data), BATCH))
        scores = torch.cat([self.raw(self.networks.logits(part, task)[:, own]) for part in parts])
        self.means[task] = scores.mean()
        deviation = scores.std(correction=0)
        self.deviations[task] = torch.where(deviation > 0, deviation, torch.ones_like(deviation))

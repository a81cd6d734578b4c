"""Task inference by a classifier that predicts the task and is trained with generative replay.

von Oswald et al., Continual learning with hypernetworks, ICLR 2020, HNET+TIR.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.methods.base import Context, SampleClassifierSettings, Samples
from hnet_cl.methods.parts.inference import DecisionSettings, Inferred, TaskInference
from hnet_cl.methods.parts.task_networks import Candidates, TaskNetworks
from hnet_cl.methods.replay import Replay, ReplaySettings
from hnet_cl.scenario import separate_heads


class TaskClassifier(TaskInference):
    """A rule that trains a learner for which every task is one class, so that it predicts the task of an input.

    The score is the softmax probability, at most 1, of that task among those so far; the larger, the more certain.
    """

    class Settings(ReplaySettings, DecisionSettings):
        """Those of replay, and for how many images it decides."""

    def __init__(self, settings: Any, context: Context, networks: TaskNetworks) -> None:
        super().__init__(settings, context, networks)
        heads = separate_heads([1] * context.heads.num_tasks, context.heads.stages[:-1])
        self.classifier = Replay(settings, replace(context, heads=heads))

    def infer(self, candidates: Candidates) -> Inferred:
        answer = self.classifier.predict(candidates.inputs)
        assert answer.confidence is not None
        unknown = answer.invalid(self.classifier.heads)
        task, score = answer.output, answer.confidence.masked_fill(unknown, torch.nan)
        if self.images_per_decision > 1:
            assert answer.logits is not None
            p = answer.logits.softmax(1).T.masked_fill(unknown, torch.nan)
            score, task = self.averaged(p).max(0)
        return Inferred(task, score)

    def inspect(self, inputs: Tensor) -> list[str]:
        return self.classifier.inspect(inputs)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        self.classifier.begin_task(tasks)

    @property
    def capturable(self) -> bool:
        return self.classifier.capturable

    def prepare(self, size: int) -> None:
        self.classifier.prepare(size)

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return self.classifier.step(inputs, torch.zeros_like(labels))  # the only class of its task

    def choices(self) -> list[str]:
        return self.classifier.choices()

    def samples(self, number: int) -> Samples | None:
        return self.classifier.samples(number)

    @property
    def sample_classifier(self) -> SampleClassifierSettings | None:
        return self.classifier.sample_classifier

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return self.classifier.optimizers()

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return self.classifier.training_state()

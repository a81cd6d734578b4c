"""The base class of methods that learn a task at its end and in closed form. A part of methods."""

from abc import abstractmethod
from collections.abc import Iterator
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hnet_cl.benchmarks.base import Split
from hnet_cl.core import settings as base
from hnet_cl.methods.base import Context, Learner, Prediction

BATCH = 500  # training examples at a time; changes results by no more than rounding


class ClosedForm(Learner):
    """A classifier of inputs as they are, without a target network: of features that a frozen network has computed.

    Steps do nothing. When a task ends, `learn` sees each of its training examples once, without augmentation. Inputs
    that are no vectors are flattened.
    """

    class Settings(base.Settings):
        name: str

    settings: Any
    has_target = False
    unextendable = None

    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__(settings, context)
        self.width = prod(context.in_shape)  # numbers of an input

    @abstractmethod
    def learn(self, data: Split) -> None:
        """Learns the training data of the newest task, in addition to what was learned before."""

    @abstractmethod
    def logits(self, inputs: Tensor) -> Tensor:
        """Computes logits (b, outputs) of all outputs for flat inputs (b, d)."""

    @property
    def asks_task(self) -> bool:
        return self.heads.separate

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {}

    @torch.no_grad()
    def end_task(self) -> None:
        self.learn(self.tasks[-1].train)

    def examples(self, data: Split, index: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields flat inputs (b, d) of training examples of the newest task and their outputs (b, outputs), one-hot.

        `index` says which examples; None for all.
        """
        index = torch.arange(len(data), device=data.labels.device) if index is None else index
        for part in index.split(BATCH):
            inputs, labels = data.batch(part)
            yield inputs.flatten(1), F.one_hot(self.heads.label(labels, self.latest), self.heads.num_outputs)

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        outputs = self.heads.read(task, self.latest)
        logits = self.logits(inputs.flatten(1))[:, outputs]
        return Prediction(self.objective.predicted(logits, outputs.start), logits=logits)

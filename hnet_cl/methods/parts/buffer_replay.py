"""The base class of methods that repeat stored examples of old tasks."""

from collections.abc import Sequence

import torch
from pydantic import PositiveInt
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.parts.buffer import BufferSettings, ReplayBuffer, Replayed
from hnet_cl.methods.parts.classifier import Classifier


class BufferReplay(Classifier):
    """A classifier with a replay buffer, from which `draws` batches are drawn for each step.

    It holds examples of old tasks; if `with_newest`, also of the newest one, from the second task on.
    `replay_batch_size`: examples of each batch that is drawn from the buffer.
    """

    class Settings(Classifier.Settings):
        buffer: BufferSettings
        replay_batch_size: PositiveInt

    settings: Settings
    draws = 1
    with_newest = False

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.buffer: ReplayBuffer | None = None
        if self.latest:
            stored = tasks if self.with_newest else tasks[:-1]
            self.buffer = ReplayBuffer(self.settings.buffer, stored, self.context.seed)
        self._rng = stream(self.context.seed, Stream.BUFFER_DRAWS, self.latest)
        self.replayed: list[Replayed] = []
        self._prepared = False

    def prepare(self, size: int) -> None:
        """Draws the replayed batches of the next step; if it is not called, the step draws them."""
        self._prepared = True
        if self.buffer is None:
            return
        drawn = [self.buffer.draw(self.settings.replay_batch_size, self._rng) for _ in range(self.draws)]
        if not self.replayed:
            self.replayed = [Replayed(*(part.clone().to(self.context.device) for part in batch)) for batch in drawn]
            return
        for kept, new in zip(self.replayed, drawn, strict=True):
            for tensor, value in zip(kept, new, strict=True):
                tensor.copy_(value)  # in place, for a captured step

    def step(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> dict[str, Tensor]:
        if not self._prepared:
            self.prepare(len(inputs))
        self._prepared = False
        return super().step(inputs, labels, tasks)

    def replay_loss(self, batch: Replayed) -> Tensor:
        """Computes the mean cross-entropy of replayed examples, each under the outputs of its own task."""
        return self.loss(batch.inputs, batch.labels, batch.tasks)

    def kept_bytes(self) -> dict[str, int]:
        return super().kept_bytes() | {"examples": self.buffer.nbytes if self.buffer else 0}

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return super().training_state() | {"buffer draws": self._rng}

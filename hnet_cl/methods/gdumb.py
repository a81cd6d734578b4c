"""GDumb: a fresh network is trained on stored examples alone; a bound that every method with a buffer should beat."""

from collections.abc import Sequence
from typing import Any

from hnet_cl.benchmarks.base import Task, TasksTogether
from hnet_cl.core import settings as base
from hnet_cl.methods.parts.buffer import BufferSettings, ReplayBuffer
from hnet_cl.methods.parts.classifier import Classifier


class GDumb(Classifier):
    """A classifier that starts again with every task and learns from its buffer alone (Prabhu et al., ECCV 2020).

    The buffer holds examples of all tasks so far, the newest included. Prabhu et al. train once, after the last task;
    here a network is trained after every task, for the whole accuracy matrix, and its last row is their result. Each of
    these trainings is as long as the training of a task with any other method. CutMix and the schedule of the authors
    are not part of it; `optimizer=sgd lr_scheduler=cosine` comes near the latter.
    """

    class Settings(base.Settings):
        name: str
        buffer: BufferSettings

    settings: Any

    def _buffer(self, tasks: Sequence[Task]) -> ReplayBuffer:
        return ReplayBuffer(self.settings.buffer, tasks, self.context.seed)

    def training_data(self, tasks: Sequence[Task]) -> TasksTogether:
        return self._buffer(tasks).data

    def begin_task(self, tasks: Sequence[Task]) -> None:
        self.network = self.new_network()
        self.optimizer = None  # of the former network
        super().begin_task(tasks)

    def kept_bytes(self) -> dict[str, int]:
        return super().kept_bytes() | {"examples": self._buffer(self.tasks).nbytes}

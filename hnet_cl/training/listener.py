"""The events of the training loop."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class Listener:
    """A receiver of events of the training loop; subclasses override the methods for the events they need.

    Tasks count from 0, iterations from 1 within each task.
    """

    def begin_task(self, task: int, iteration: int) -> None:
        """Handles the start of task `task`, of which `iteration` iterations are already done."""

    def losses(self, task: int, iteration: int, losses: Mapping[str, float]) -> None:
        """Receives the losses of one step, every `log_every` iterations and at the last one."""

    def accuracy(self, task: int, iteration: int, accuracy: float | None) -> None:
        """Receives the accuracy on one step's batch, a fraction, before its losses; None where nobody knows it."""

    def window(self, task: int, iteration: int, scores: Sequence[float], took_s: float) -> None:
        """Receives the scores (task,) on all old tasks after an iteration; testing them took `took_s` seconds."""

    def end_task(self, task: int) -> None:
        """Handles the end of the task's training, before its evaluation."""

    def samples(self, task: int, pictures: "np.ndarray | None", recognised: Sequence[float], real: float) -> None:
        """Receives the quality of generated samples for tasks 0 to `task`, as in `SampleQuality`, before the row."""

    def certified(self, task: int, shares: Sequence[float | None]) -> None:
        """Receives the (T,) certified accuracies after a task, as in `Row`, before its row; not from all learners."""

    def row(self, task: int, scores: Sequence[float | None], inferred: Sequence[Sequence[int]] | None) -> None:
        """Receives row `task` of the matrix of scores, and counts of inferred tasks, as in `Row`."""

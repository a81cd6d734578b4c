"""What the training loop tells."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class Listener:
    """Hears of a run while it is trained; overrides what it listens to. Iterations count within a task, from 1."""

    def begin_task(self, task: int, iteration: int) -> None:
        """Hears that task `task` starts, `iteration` iterations of it being done already."""

    def losses(self, task: int, iteration: int, losses: Mapping[str, float]) -> None:
        """Hears the losses of one step, every `log_every` iterations and after the last."""

    def end_task(self, task: int) -> None:
        """Hears that training of the task has ended and its evaluation begins."""

    def samples(self, task: int, pictures: "np.ndarray | None", recognised: Sequence[float], real: float) -> None:
        """Hears, before the row, what a learner's generator makes of tasks 0 to `task`, as `SampleReport`."""

    def row(self, task: int, accuracies: Sequence[float | None], inferred: Sequence[Sequence[int]] | None) -> None:
        """Hears row `task` of the accuracy matrix, as fractions, and counts of inferred tasks; `evaluation.Row`."""

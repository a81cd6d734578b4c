"""What keeps a run: checkpoints at intervals and at task ends, and an orderly end when a signal asks for it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hnet_cl.core.signals import Interruption
from hnet_cl.methods.base import Learner
from hnet_cl.training.checkpointing import Checkpoints
from hnet_cl.training.listener import Listener

LONG = 1.0  # seconds of evaluation that are worth a checkpoint before it


class CheckpointSaver(Listener):
    """Listens to training, and is its `Pause`.

    Signals are held while a task is learned, whose state is whole only between two steps, and answered at the next
    pause. The end of a task's training is saved, as evaluation may take long and can be interrupted anywhere; not where
    the last evaluation took no `LONG` time, but then signals wait for its end too.

    Args:
        checkpoints: where states go.
        learner: the one that is trained.
        interval: seconds between two checkpoints in the middle of a task.
        iterations: (T,) iterations of each task.
        interruption: the signals, entered already.
        progress: tells the run's own progress, given the iterations done of the task.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        learner: Learner,
        interval: float,
        iterations: Sequence[int],
        interruption: Interruption,
        progress: Callable[[int], Mapping[str, Any]],
    ) -> None:
        self._checkpoints = checkpoints
        self._learner = learner
        self._interval = interval
        self._iterations = iterations
        self._interruption = interruption
        self._progress = progress
        self._task = 0
        self._saved = self._ended = time.monotonic()
        self._short = False  # whether the last evaluation was

    def begin_task(self, task: int, iteration: int) -> None:
        """From here on signals wait for a pause."""
        self._task = task
        self._saved = time.monotonic()
        self._interruption.begun = True
        self._interruption.hold()

    def end_task(self, task: int) -> None:
        """The task's training is over; signals no longer wait if what follows may take long."""
        self._ended = time.monotonic()
        if not self._short:
            self._interruption.release()

    def row(self, task: int, accuracies: Sequence[float | None], inferred: Sequence[Sequence[int]] | None) -> None:
        """Saves the learner. The other logs must have heard of the row before, so that they have it in `progress`."""
        self._interruption.hold()
        self._short = time.monotonic() - self._ended < LONG
        self._checkpoints.after_task(task + 1, self._learner, self._progress(0))

    def pause(self, iteration: int, state: Callable[[], Mapping[str, Any]]) -> None:
        """Saves if it is time to, and ends the run if a signal waits.

        Raises:
            Interrupted: the run is saved and must end.
            OSError: a checkpoint cannot be written.
        """
        due = time.monotonic() - self._saved >= self._interval
        asked = self._interruption.pending  # read once: what is asked for later is answered at the next pause
        over = iteration == self._iterations[self._task]
        if due or asked or (over and not self._short):
            self._checkpoints.in_task(self._task, iteration, state(), self._progress(iteration))
            self._saved = time.monotonic()
        if asked:
            self._interruption.answer()

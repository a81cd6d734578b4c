"""Saving of a run: checkpoints at intervals and at task ends, and an orderly end when a signal asks for it."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hnet_cl.core.errors import Interrupted
from hnet_cl.core.ranks import Ranks
from hnet_cl.core.signals import Interruption
from hnet_cl.methods.base import Learner
from hnet_cl.training.checkpointing import Checkpoints
from hnet_cl.training.listener import Listener

LONG = 1.0  # seconds; evaluation that takes at least so long is worth a checkpoint before it


class CheckpointSaver(Listener):
    """A listener of the training loop that writes checkpoints; its method `pause` is the loop's `Pause`.

    While a task is learned, its state is consistent only between two steps, so signals are held and answered at the
    next pause. The state is also saved at the end of a task's training, because evaluation may take long and can be
    interrupted anywhere. If the last evaluation took less than `LONG`, it is not saved there, and signals are held
    until evaluation ends.

    Args:
        checkpoints: the checkpoints of the run.
        learner: the learner that is trained.
        interval: seconds between two checkpoints in the middle of a task.
        iterations: (T,) iterations of each task.
        interruption: the handler of signals, already entered.
        progress: returns the run's own progress, given the number of iterations of the task that are done.
        ranks: the processes that share the run, which end together; None for one process alone.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        learner: Learner,
        interval: float,
        iterations: Sequence[int],
        interruption: Interruption,
        progress: Callable[[int], Mapping[str, Any]],
        ranks: Ranks | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._learner = learner
        self._interval = interval
        self._iterations = iterations
        self._interruption = interruption
        self._progress = progress
        self._ranks = ranks
        self._task = 0
        self._saved = self._ended = time.monotonic()
        self._short = False  # whether the last evaluation took less than LONG

    def begin_run(self, tasks: int) -> None:
        """Saves a learner that comes with its first `tasks` tasks from another run, if there are any."""
        if tasks:
            self._checkpoints.after_task(tasks, self._learner, self._progress(0))

    def begin_task(self, task: int, iteration: int) -> None:
        """Holds signals from now on until the next pause."""
        self._task = task
        self._saved = time.monotonic()
        self._interruption.begun = True
        self._interruption.hold()

    def end_task(self, task: int) -> None:
        """Releases signals at the end of the task's training, unless the coming evaluation is expected to be short."""
        self._ended = time.monotonic()
        if not self._short:
            self._interruption.release()

    def row(self, task: int, scores: Sequence[float | None], inferred: Sequence[Sequence[int]] | None) -> None:
        """Saves the learner. The other listeners must get the row before this one, so that `progress` contains it."""
        self._interruption.hold()
        self._short = time.monotonic() - self._ended < LONG
        self._checkpoints.after_task(task + 1, self._learner, self._progress(0))

    def pause(self, iteration: int, state: Callable[[], Mapping[str, Any]]) -> None:
        """Saves a checkpoint if one is due, and ends the run, after saving it, if a signal is pending.

        Raises:
            Interrupted: the run is saved and must end.
            OSError: a checkpoint cannot be written.
        """
        due = time.monotonic() - self._saved >= self._interval
        # read once: a signal that arrives later is answered at the next pause
        asked = self._interruption.pending if self._ranks is None else self._ranks.asked
        over = iteration == self._iterations[self._task]
        if due or asked or (over and not self._short):
            self._checkpoints.in_task(self._task, iteration, state(), self._progress(iteration))
            self._saved = time.monotonic()
        if asked:
            self._interruption.answer()
            if self._ranks is not None:  # another process got the signal
                raise Interrupted(signal.SIGTERM, begun=True)

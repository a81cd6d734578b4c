"""Scores on old tasks while the next one is learned.

They fall at the start of a task and mostly recover before its end, so that the matrix of scores does not show it: the
stability gap of De Lange, van de Ven & Tuytelaars, "Continual evaluation for lifelong learning", ICLR 2023.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.methods.base import Learner
from hnet_cl.training.evaluation import test

if TYPE_CHECKING:
    from hnet_cl.training.trainer import TrainingSettings


class Window:
    """Tests the old tasks at regular intervals in the first iterations of a task.

    Nothing that the learner does later depends on it: random numbers come from a stream of each test's own. A test asks
    for the network of each old task, so a method that generates weights generates those of every old task once, and
    once more for each further batch of `eval_batch_size` examples.

    Args:
        learner: the learner, after its `begin_task`.
        tasks: those so far; the last one is being learned.
        settings: the settings of training.
    """

    def __init__(self, learner: Learner, tasks: Sequence[Task], settings: "TrainingSettings") -> None:
        self._learner = learner
        self._task = tasks[-1].id
        self._last = (settings.eval_window or 0) if len(tasks) > 1 else 0
        self._every = settings.eval_every
        self._batch_size = settings.eval_batch_size
        self._old = tasks[:-1]

    def scores(self, iteration: int) -> list[float] | None:
        """Tests the old tasks (t,) after an iteration; returns None if none is due then.

        Raises:
            UserError: predictions rest on numbers that are NaN or infinite.
        """
        if iteration > self._last or iteration % self._every:
            return None
        with seeded(self._learner.context.seed, Stream.WINDOW, self._task, iteration):
            return [test(self._learner, task, self._batch_size)[0] for task in self._old]

"""The three continual-learning scenarios as maps from tasks to outputs.

CL1: task identity is known at test. CL2: it is not, and all tasks share one head. CL3: it is not, and every task
has its own classes (van de Ven & Tolias 2019; paper, section 3). No other file asks which scenario it is: methods
and evaluation only use the slices below.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from hnet_cl.errors import UserError
from hnet_cl.settings import Settings


class ScenarioSettings(Settings):
    """`heads`: one head for all tasks or one each; `task_known`: whether the task is told at test time."""

    name: str
    heads: Literal["shared", "separate"]
    task_known: bool


class HeadMap:
    """Which outputs exist, which are trained and which are read, for tasks with `class_counts` classes.

    Raises:
        UserError: a shared head for tasks with different numbers of classes.
    """

    def __init__(self, settings: ScenarioSettings, class_counts: Sequence[int]) -> None:
        self.name = settings.name
        self.task_known = settings.task_known
        self._separate = settings.heads == "separate"
        if not self._separate and len(set(class_counts)) > 1:
            raise UserError(
                f"scenario={settings.name}: its one shared head needs tasks with equal numbers of classes, and these "
                f"have {', '.join(map(str, class_counts))}; choose a scenario with separate heads (cl1, cl3)"
            )
        starts = [0]
        for count in class_counts:
            starts.append(starts[-1] + count)
        self._own = [
            slice(starts[t], starts[t + 1]) if self._separate else slice(0, count)
            for t, count in enumerate(class_counts)
        ]

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self._own)

    @property
    def num_outputs(self) -> int:
        """Number of outputs of a network that serves all tasks."""
        return self._own[-1].stop

    def own(self, task: int) -> slice:
        """The outputs of the task's own head."""
        return self._own[task]

    def seen(self, task: int) -> slice:
        """The outputs of tasks 0 to `task`."""
        return slice(0, self._own[task].stop)

    def trained(self, task: int) -> slice:
        """Outputs under the softmax of a network that is shared by all tasks, while it learns `task`.

        The own head if the task will be known (CL1) or the head is shared (CL2), else all heads so far (CL3).
        """
        return self.own(task) if self.task_known else self.seen(task)

    def read(self, task: int | None, latest: int) -> slice:
        """Outputs among which a shared network chooses: of the told `task`, else all it has learned up to `latest`."""
        return self.trained(latest) if task is None else self.own(task)

    def label(self, labels: Tensor, task: int) -> Tensor:
        """Labels within the task (0..C-1) to output indices."""
        return labels + self._own[task].start

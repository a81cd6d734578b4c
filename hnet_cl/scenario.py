"""The three continual-learning scenarios as maps from tasks to outputs.

CL1: task identity is known at test. CL2: it is not, and all tasks have the same classes. CL3: it is not, and every
task has classes of its own (van de Ven & Tolias 2019; paper, section 3). No other file asks which scenario it is:
methods and evaluation only use the slices below.
"""

from collections.abc import Sequence
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.core.settings import Settings


class ScenarioSettings(Settings):
    """What tells the scenarios apart.

    `task_known`: the task is told at test time. `heads`: one head for all tasks, or one for each. `classes`: all
    tasks have the same classes, so that an answer is right under any task, or each has classes of its own.
    """

    name: str
    task_known: bool
    heads: Literal["shared", "separate"]
    classes: Literal["shared", "separate"]

    @model_validator(mode="after")
    def _one_head_for_separate_classes(self) -> Self:
        if self.heads == "shared" and self.classes == "separate":
            raise ValueError("heads=shared needs classes=shared: one head cannot tell classes apart")
        return self

    @property
    def must_infer(self) -> bool:
        """Whether an answer can only be read through an inferred task: a head each for the same classes."""
        return not self.task_known and self.heads == "separate" and self.classes == "shared"


class HeadMap:
    """Which outputs exist, which are trained and which are read, for tasks with `class_counts` classes.

    Raises:
        UserError: shared classes for tasks with different numbers of them.
    """

    def __init__(self, settings: ScenarioSettings, class_counts: Sequence[int]) -> None:
        self.name = settings.name
        self.task_known = settings.task_known
        self.separate = settings.heads == "separate"
        self._same_classes = settings.classes == "shared"
        if self._same_classes and len(set(class_counts)) > 1:
            raise UserError(
                f"scenario={settings.name}: its tasks share their classes, and the benchmark's tasks have "
                f"{', '.join(map(str, class_counts))} classes; use scenario=cl1 or cl3"
            )
        self._own = []
        start = 0
        for count in class_counts:
            self._own.append(slice(start, start + count))
            if self.separate:
                start += count

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self._own)

    @property
    def num_outputs(self) -> int:
        """Number of outputs of a network that serves all tasks."""
        return self._own[-1].stop

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Number of classes of each task."""
        return tuple(own.stop - own.start for own in self._own)

    @property
    def widest(self) -> int:
        """The largest number of classes of a task."""
        return max(self.class_counts)

    def own(self, task: int) -> slice:
        """The outputs of the task's own head."""
        return self._own[task]

    def seen(self, task: int) -> slice:
        """The outputs of tasks 0 to `task`."""
        return slice(0, self._own[task].stop)

    def trained(self, task: int, latest: int | None = None) -> slice:
        """Outputs under the softmax of a shared network for an example of `task`, while it learns `latest`.

        The own head if the task will be known (CL1) or the head is shared (CL2), else all heads so far (CL3). Without
        `latest`, the task is the latest.
        """
        return self.own(task) if self.task_known else self.seen(task if latest is None else latest)

    def read(self, task: int | None, latest: int) -> slice:
        """Outputs among which a shared network chooses: of the told `task`, else those trained up to `latest`."""
        return self.trained(latest) if task is None else self.own(task)

    def tasks_of(self, output: int) -> list[int]:
        """Tasks to whose head an output belongs: one, or all that share it."""
        return [task for task, own in enumerate(self._own) if own.start <= output < own.stop]

    def label(self, labels: Tensor, task: int) -> Tensor:
        """Labels within the task (0..C-1) to output indices."""
        return labels + self._own[task].start

    def correct(self, outputs: Tensor, labels: Tensor, task: int) -> Tensor:
        """Which chosen outputs (b,) are right for within-task labels (b,) of `task`.

        With shared classes the class counts, in whichever head it was read; else it must be the task's own output.
        """
        if self._same_classes:
            return outputs % (self._own[0].stop - self._own[0].start) == labels
        return outputs == self.label(labels, task)


def separate_heads(class_counts: Sequence[int]) -> HeadMap:
    """The map that tells every class of every task from all others, whatever the scenario of the run."""
    settings = ScenarioSettings(name="separate", task_known=False, heads="separate", classes="separate")
    return HeadMap(settings, class_counts)


def gather_heads(logits: Tensor, heads: HeadMap, tasks: Sequence[int]) -> Tensor:
    """From logits (T, b, outputs) of each task's network its own head (T, b, C); -inf beyond a task's classes.

    C is the largest number of classes of all tasks, also of those not asked for.
    """
    own = logits.new_full((*logits.shape[:2], heads.widest), -torch.inf)
    for i, task in enumerate(tasks):
        head = heads.own(task)
        own[i, :, : head.stop - head.start] = logits[i, :, head]
    return own

"""The three continual-learning scenarios as maps from tasks to outputs.

CL1 (task-incremental): task identity is given at test time. CL2 (domain-incremental): it is not, and all tasks share
their classes. CL3 (class-incremental): it is not, and every task has classes of its own (van de Ven & Tolias 2019; von
Oswald et al., ICLR 2020, section 3). No other file asks which scenario it is: methods and evaluation only use the
slices below.
"""

from collections.abc import Sequence
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.core.settings import Settings


class ScenarioSettings(Settings):
    """The settings in which the scenarios differ.

    `task_known`: whether task identity is given at test time. `heads`: one output head shared by all tasks, or one for
    each. `classes`: all tasks share the same classes, so that a prediction may be read from any task's head, or each
    task has classes of its own.
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
    def unsupported_regression(self) -> str | None:
        """Explains why the scenario is not defined for regression; returns None if it is."""
        if self.task_known or self.classes == "shared":
            return None
        return "in regression there are no classes by which a task could be told; use scenario=cl1 or cl2"

    @property
    def must_infer(self) -> bool:
        """Tells whether prediction needs task inference: tasks share their classes, but each has a head of its own."""
        return not self.task_known and self.heads == "separate" and self.classes == "shared"


class HeadMap:
    """The outputs for tasks with `class_counts` classes: which exist, which are trained and which are read.

    Attributes:
        stages: the numbers of tasks of runs that were extended, one after the other (`extends`), and of all tasks.

    Raises:
        UserError: tasks with different numbers of classes cannot share their classes.
    """

    def __init__(self, settings: ScenarioSettings, class_counts: Sequence[int], extends: Sequence[int] = ()) -> None:
        self.stages = (*extends, len(class_counts))
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
        """Returns the number of tasks T."""
        return len(self._own)

    @property
    def num_outputs(self) -> int:
        """Returns the number of outputs of a network for all tasks."""
        return self._own[-1].stop

    @property
    def outputs_in_stages(self) -> list[int]:
        """Returns the number of outputs of a network for as many tasks as there are in each of `stages`."""
        return [self._own[tasks - 1].stop for tasks in self.stages]

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Returns the number of classes of each task (T,)."""
        return tuple(own.stop - own.start for own in self._own)

    @property
    def widest(self) -> int:
        """Returns the largest number of classes of a task."""
        return max(self.class_counts)

    def own(self, task: int) -> slice:
        """Returns the outputs of the task's own head."""
        return self._own[task]

    def seen(self, task: int) -> slice:
        """Returns the outputs of tasks 0 to `task`."""
        return slice(0, self._own[task].stop)

    def trained(self, task: int, latest: int | None = None) -> slice:
        """Returns the outputs under the softmax of a shared network for an example of `task`, while it learns `latest`.

        These are the task's own head if task identity is given at test time (CL1) or the head is shared (CL2), else all
        heads so far (CL3). Without `latest`, `task` is the latest.
        """
        return self.own(task) if self.task_known else self.seen(task if latest is None else latest)

    def read(self, task: int | None, latest: int) -> slice:
        """Returns the outputs among which a shared network chooses: those of `task`; if None, `trained(latest)`."""
        return self.trained(latest) if task is None else self.own(task)

    def tasks_of(self, output: int) -> list[int]:
        """Returns the tasks whose head has this output: one, or all that share it."""
        return [task for task, own in enumerate(self._own) if own.start <= output < own.stop]

    def label(self, labels: Tensor, task: int) -> Tensor:
        """Converts labels within the task (0..C-1) to indices of outputs."""
        return labels + self._own[task].start

    def correct(self, outputs: Tensor, labels: Tensor, task: int) -> Tensor:
        """Tells which predicted outputs (b,) are right for within-task labels (b,) of `task`, as booleans (b,).

        With shared classes, only the class matters, not the head from which it was read; with separate classes, the
        output must be the task's own.
        """
        if self._same_classes:
            return outputs % (self._own[0].stop - self._own[0].start) == labels
        return outputs == self.label(labels, task)


def separate_heads(class_counts: Sequence[int], extends: Sequence[int] = ()) -> HeadMap:
    """Builds the map with a separate output for every class of every task, independent of the run's scenario."""
    settings = ScenarioSettings(name="separate", task_known=False, heads="separate", classes="separate")
    return HeadMap(settings, class_counts, extends)


def gather_heads(logits: Tensor, heads: HeadMap, tasks: Sequence[int]) -> Tensor:
    """Takes each task's own head (T, b, C) from the logits (T, b, outputs) of its network; -inf beyond its classes.

    `tasks` (T,) says which task each network belongs to. C is the largest number of classes of any task in `heads`.
    """
    own = logits.new_full((*logits.shape[:2], heads.widest), -torch.inf)
    for i, task in enumerate(tasks):
        head = heads.own(task)
        own[i, :, : head.stop - head.start] = logits[i, :, head]
    return own

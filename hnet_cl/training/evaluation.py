"""One row of the accuracy matrix."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Learner


class Row(NamedTuple):
    """What is known of all T tasks after learning some: test accuracies (T,), None for tasks still to come.

    `inferred` (T, T) counts test examples of each task by the task that was inferred for them; None where the learner
    does not infer tasks.
    """

    accuracies: list[float | None]
    inferred: list[list[int]] | None = None


def evaluate(learner: Learner, tasks: Sequence[Task], latest: int, batch_size: int) -> Row:
    """Tests tasks 0 to `latest`; no method can answer for later ones yet.

    Raises:
        UserError: answers rest on numbers that are NaN or infinite.
    """
    accuracies: list[float | None] = [None] * len(tasks)
    inferred = torch.zeros(len(tasks), len(tasks), dtype=torch.long)
    for task in tasks[: latest + 1]:
        accuracies[task.id], inferred[task.id] = test(learner, task, batch_size)
    return Row(accuracies, inferred.tolist() if inferred.any() else None)


def test(learner: Learner, task: Task, batch_size: int) -> tuple[float, torch.Tensor]:
    """Share of the task's test examples that are answered rightly, and counts (T,) of the tasks inferred for them.

    The learner is told the task only where the scenario does. What is right is a question for the head map: in CL3
    the right class under the wrong task is an error.

    Raises:
        UserError: as `evaluate`; such answers would be right by chance, and count as accuracy.
    """
    heads = learner.heads
    told = task.id if heads.task_known else None
    correct = torch.zeros((), dtype=torch.long, device=task.test.labels.device)
    invalid = torch.zeros_like(correct)
    inferred = torch.zeros(heads.num_tasks, dtype=torch.long)
    for start in range(0, len(task.test), batch_size):
        inputs, labels = task.test.batch(slice(start, start + batch_size))
        answer = learner.predict(inputs, told)
        correct += heads.correct(answer.output, labels, task.id).sum()
        invalid += answer.invalid(heads).sum()
        if answer.task is not None:
            inferred += answer.task.cpu().bincount(minlength=heads.num_tasks)
    if number := invalid.item():
        raise UserError(
            f"training diverged: {number} of {len(task.test)} answers to test examples of {task.name} rest on numbers "
            f"that are NaN or infinite, after task {learner.latest + 1}; use a smaller training.lr or method weight"
        )
    return correct.item() / len(task.test), inferred

"""One row of the accuracy matrix."""

from collections.abc import Sequence

import torch

from hnet_cl.benchmarks.base import Task
from hnet_cl.methods.base import Learner


def evaluate(learner: Learner, tasks: Sequence[Task], latest: int, batch_size: int) -> list[float | None]:
    """Test accuracy (a fraction) on tasks 0 to `latest`; None for later ones, which no method can answer yet."""
    known = [accuracy(learner, task, batch_size) for task in tasks[: latest + 1]]
    return [*known, *[None] * (len(tasks) - len(known))]


def accuracy(learner: Learner, task: Task, batch_size: int) -> float:
    """Share of the task's test examples for which the learner chooses the right output.

    The learner is told the task only where the scenario does. The right output is a question for the head map:
    in CL3 the right class under the wrong task is an error.
    """
    heads = learner.heads
    told = task.id if heads.task_known else None
    correct = torch.zeros((), dtype=torch.long, device=task.test.labels.device)
    for start in range(0, len(task.test), batch_size):
        inputs, labels = task.test.batch(slice(start, start + batch_size))
        correct += (learner.predict(inputs, told).output == heads.label(labels, task.id)).sum()
    return correct.item() / len(task.test)

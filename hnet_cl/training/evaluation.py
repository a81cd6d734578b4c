"""One row of the matrix of scores: of accuracies or, in regression, of errors."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.errors import UserError
from hnet_cl.core.protocol import whole_decisions
from hnet_cl.methods.base import Learner
from hnet_cl.methods.parts.certificates import Certifying


class Row(NamedTuple):
    """One row of the matrix of scores.

    Attributes:
        scores: (T,) accuracies as fractions, or errors, on test examples; None for tasks that are not learned yet.
        inferred: (T, T) numbers of test examples by true task and inferred task; None if the learner does not infer
            tasks.
        certified: (T,) shares of test examples whose right answer is proved for a box of weights; None for tasks that
            are not learned yet, or in place of the list if the learner proves nothing.
    """

    scores: list[float | None]
    inferred: list[list[int]] | None = None
    certified: list[float | None] | None = None


def evaluate(learner: Learner, tasks: Sequence[Task], latest: int, batch_size: int) -> Row:
    """Tests the learner on tasks 0 to `latest`, the ones it has learned.

    Raises:
        UserError: predictions rest on numbers that are NaN or infinite.
    """
    scores: list[float | None] = [None] * len(tasks)
    inferred = torch.zeros(len(tasks), len(tasks), dtype=torch.long)
    for task in tasks[: latest + 1]:
        scores[task.id], inferred[task.id] = test(learner, task, batch_size)
    return Row(scores, inferred.tolist() if inferred.any() else None, certify(learner, tasks, latest, batch_size))


def certify(learner: Learner, tasks: Sequence[Task], latest: int, batch_size: int) -> list[float | None] | None:
    """Computes the certified accuracies of tasks 0 to `latest`, as in `Row`."""
    if not (isinstance(learner, Certifying) and learner.certifies):
        return None
    shares: list[float | None] = [None] * len(tasks)
    for task in tasks[: latest + 1]:
        test, right = task.test, 0
        for start in range(0, len(test), batch_size):
            inputs, labels = test.batch(slice(start, start + batch_size))
            right += int(learner.certified(inputs, labels, task.id).sum())
        shares[task.id] = right / len(test)
    return shares


def test(learner: Learner, task: Task, batch_size: int) -> tuple[float, torch.Tensor]:
    """Computes the score on a task's test examples, and the numbers (T,) of these by inferred task.

    The learner is given the task id only if the scenario provides it. In classification the score is the accuracy (a
    fraction), and the head map decides which predictions are correct: in CL3 (class-incremental learning) the right
    class under the wrong task is an error. Examples that the learner decides on together stay in one batch.
    Several processes test a part of the examples each.

    Raises:
        UserError: predictions rest on numbers that are NaN or infinite, which would be correct only by chance.
    """
    heads = learner.heads
    given = task.id if heads.task_known else None
    ranks, device = learner.context.ranks, task.test.labels.device
    part = slice(0, len(task.test)) if ranks is None else ranks.part(len(task.test), learner.images_per_decision)
    points = [] if ranks is None else [_no_points(learner, task)]
    invalid = torch.zeros((), dtype=torch.long, device=device)
    inferred = torch.zeros(heads.num_tasks, dtype=torch.long)
    batch_size = whole_decisions(batch_size, learner.images_per_decision)
    for start in range(part.start, part.stop, batch_size):
        inputs, labels = task.test.batch(slice(start, min(start + batch_size, part.stop)))
        answer = learner.predict(inputs, given)
        points.append(learner.objective.points(answer.output, labels, heads, task.id))
        invalid += answer.invalid(heads).sum()
        if answer.task is not None:
            inferred += answer.task.cpu().bincount(minlength=heads.num_tasks)
    total = torch.stack(points).sum(0)
    if ranks is not None:
        total, invalid, inferred = (ranks.total(one) for one in (total, invalid, inferred))
    if number := invalid.item():
        raise UserError(
            f"training diverged: {number} of {len(task.test)} answers to test examples of {task.name} rest on numbers "
            f"that are NaN or infinite, after task {learner.latest + 1}; use a smaller training.lr or method weight"
        )
    return learner.objective.mean(total, task.test.labels), inferred


def _no_points(learner: Learner, task: Task) -> torch.Tensor:
    """Returns what an objective's `points` of no examples are, for a process to which none are left."""
    dtype, shape = learner.objective.answer_form(0, learner.heads)
    labels = task.test.labels[:0]
    answers = torch.zeros(shape, dtype=dtype, device=labels.device)
    return learner.objective.points(answers, labels, learner.heads, task.id)

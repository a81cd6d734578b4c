"""Classification of the test set of a run's own benchmark into a CSV table, with what the answers amount to."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from hnet_cl.benchmarks.base import Task
from hnet_cl.build import build_benchmark
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import csv_text
from hnet_cl.core.protocol import whole_decisions
from hnet_cl.predict.answers import columns_of, opened
from hnet_cl.predict.options import Options
from hnet_cl.predict.other_rule import use_rule
from hnet_cl.predict.tally import Tally
from hnet_cl.predict.trained import Trained

FURTHER = ("true_label", "true_task", "correct")  # columns after those of every table of answers


def classify_test_set(trained: Trained, options: Options) -> int:
    """Classifies the test examples of all tasks, or of the given one, and writes a CSV table; returns 0.

    The learner is given the task where the scenario tells it, as in the run's own tests. What the answers amount to is
    printed: on standard error, if the table is printed too.

    Raises:
        UserError: the run does not classify, there is no such task, the data are not those of the run, or an answer
            rests on numbers that are NaN or infinite.
        OSError: the answers cannot be written; an existing file is then left unchanged.
    """
    trained.require_classes()
    if options.data_dir is not None:
        trained = replace(trained, data_dir=options.data_dir)
    only = None if options.task is None else trained.learned(options.task)
    tasks, rule = own_tasks(trained), []
    if (options.task_inference, options.images_per_decision) != (None, None):
        rule = [use_rule(trained, tasks, options.task_inference, options.images_per_decision)]
    tasks, tally = [task for task in tasks if only in (None, task.id)], Tally()
    with opened(options.output) as file:
        for number, columns in enumerate(_answers(trained, tasks, options.batch_size, tally)):
            if not number:
                file.write(csv_text([[*columns]]))
            file.write(csv_text(zip(*columns.values(), strict=True)))
    found = "\n".join([*rule, *tally.lines()])
    if options.output:
        print(f"{options.output}: {sum(tally.number.values())} answers\n{found}")
    else:
        print(found, file=sys.stderr)
    return 0


def own_tasks(trained: Trained, asked: str = "input=test") -> Sequence[Task]:
    """Builds the tasks that the run learned, with their data on the learner's device.

    Args:
        trained: the trained learner.
        asked: what asks for them, for messages.

    Raises:
        UserError: the data are missing, or are others than the run's.
    """
    benchmark = build_benchmark(trained.plan, trained.data_dir, trained.device)
    now, then = (benchmark.data.name, benchmark.data.checksum), (trained.data.name, trained.data.checksum)
    if now != then:
        raise UserError(
            f"{asked}: the run learned from {' '.join(then)}, but {trained.data_dir} has {' '.join(now)}; give the "
            "folder of its data as data_dir=DIR"
        )
    if [task.classes for task in benchmark.tasks] != [list(classes) for classes in trained.classes]:
        raise UserError(f"{asked}: the run's result.json names other classes than its benchmark has now")
    return benchmark.tasks


def _answers(
    trained: Trained, tasks: Sequence[Task], batch_size: int | None, tally: Tally
) -> Iterator[dict[str, Sequence[str]]]:
    """Yields the columns of one batch after another, and counts their answers in `tally`."""
    learner = trained.learner
    size = whole_decisions(batch_size or trained.plan.training.eval_batch_size, learner.images_per_decision)
    for task in tasks:
        given = task.id if learner.heads.task_known else None
        for start in range(0, len(task.test), size):
            inputs, labels = task.test.batch(slice(start, start + size))
            with torch.no_grad():
                found = learner.predict(inputs, given)
            if bad := int(found.invalid(learner.heads).sum()):
                raise UserError(f"input=test: {bad} answers for {task.name} rest on numbers that are NaN or infinite")
            names = [f"{task.name}[{number}]" for number in range(start, start + len(labels))]
            columns, right = (
                columns_of(trained, given, names, found),
                [task.classes[label] for label in labels.tolist()],
            )
            correct = learner.heads.correct(found.output, labels, task.id)
            taken_for = _within(trained, task, found.output.tolist(), columns["label"])
            tally.add(task.id, correct, zip(right, taken_for, strict=True), found.confidence)
            if found.task is not None:
                tally.add_tasks(task.id, found.task)
            further = (right, [str(task.id + 1)] * len(right), [str(int(one)) for one in correct.tolist()])
            yield columns | dict(zip(FURTHER, further, strict=True))


def _within(trained: Trained, task: Task, outputs: Sequence[int], labels: Sequence[str]) -> list[str]:
    """Returns the names of the classes that outputs stand for: of `task` where they are its own, else `labels`.

    Where a label of another task is called like one of `task`, its task is added.
    """
    heads, same, names = trained.learner.heads, trained.plan.scenario.classes == "shared", []
    for output, label in zip(outputs, labels, strict=True):
        owners = heads.tasks_of(output)
        if task.id in owners:
            names.append(trained.meaning(output, task.id)[0])
        else:
            names.append(label if same or label not in task.classes else f"{label} of task {owners[0] + 1}")
    return names

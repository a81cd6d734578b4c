"""Deals the classes of a dataset out to tasks."""

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.core.suggest import offered
from hnet_cl.datasets.base import Data, Dataset

MOST = 10_000  # classes of a task
GROUPS = "groups"  # the word for tasks as the data group their classes


def _sizes(value: Any) -> Any:
    if _is_count(value) and value >= 2:
        return value
    if isinstance(value, list) and value and all(map(_is_count, value)):
        return value
    raise ValueError(f"give a whole number from 2 to {MOST}, or a list of numbers, one for each task, as [2,3,5]")


def _groups(value: Any) -> Any:
    lists = isinstance(value, list) and value and all(isinstance(group, list) and group for group in value)
    if value in (None, GROUPS) or (lists and all(isinstance(one, str) or type(one) is int for one in chain(*value))):
        return value
    raise ValueError(f"give a list of lists of classes, by name or by label, as [[0,1],[2,3,4]], or the word {GROUPS}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST


Sizes = Annotated[int | list[int], BeforeValidator(_sizes)]  # of all tasks, or of each
Groups = Annotated[list[list[int | str]] | str | None, BeforeValidator(_groups)]  # classes of each task


def contradiction(settings: Any) -> str | None:
    """Returns why the settings of a split contradict each other, and what to do; None if they do not."""
    each, tasks = settings.classes_per_task, settings.tasks
    if tasks is not None and settings.shuffle_classes:
        return f"shuffle_classes=true: {settings.key('tasks')} says which classes a task has; leave one of them out"
    if settings.keep_remainder and (tasks is not None or isinstance(each, list)):
        key = settings.key("classes_per_task" if tasks is None else "tasks")
        return f"keep_remainder=true: {key} says how many classes each task has; leave one of them out"
    listed = each if tasks is None else tasks
    if isinstance(listed, list) and len(listed) < (settings.num_tasks or 0):
        key = settings.key("classes_per_task" if tasks is None else "tasks")
        return f"num_tasks={settings.num_tasks}: {key} is for {len(listed)} tasks; give no more, or num_tasks=null"
    entries = list(map(str, chain(*tasks))) if isinstance(tasks, list) else []
    if twice := next((entry for entry in entries if entries.count(entry) > 1), None):
        return f"tasks={shown(tasks)}: class {shown(twice)} is there twice; every class can be in one task"
    return None


def too_many(settings: Any, dataset: Dataset) -> str | None:
    """Returns a message if a split needs more classes than the dataset can have; None otherwise."""
    known, each, number = dataset.num_classes, settings.classes_per_task, settings.num_tasks
    if known is None or settings.tasks is not None:
        return None
    of_dataset = f"the {known} classes of dataset={dataset.settings.name}: lower one of them"
    if isinstance(each, list):
        needed = sum(each[:number])
        return f"classes_per_task={each}: {needed} classes are more than {of_dataset}" if needed > known else None
    most = (known + each - 1 if settings.keep_remainder else known) // each
    if (number or 1) <= most:
        return None
    return f"num_tasks={number} times classes_per_task={each} is more than {of_dataset}".replace(
        "num_tasks=None times ", ""
    )


def dealt(data: Data, settings: Any) -> list[list[int]]:
    """Returns the labels in the dataset of the classes of each task; see `SplitClasses` for the settings.

    Raises:
        UserError: there are too few classes, or not those that are listed.
    """
    if settings.tasks == GROUPS:
        return _grouped(data, settings)
    if settings.tasks is not None:
        return _listed(data, settings.tasks[: settings.num_tasks], settings.key("tasks"))
    rng = stream(settings.seed, Stream.DIGITS)
    groups = []
    for group in data.class_groups:
        order: Tensor = torch.randperm(len(group), generator=rng)
        groups.append([group[i] for i in order.tolist()] if settings.shuffle_classes else group)
    each, number = settings.classes_per_task, settings.num_tasks
    if isinstance(each, list):
        tasks, wanted, key = _of_sizes(groups, each[:number]), len(each[:number]), "classes_per_task"
        advice = "make them smaller"
    else:
        tasks, wanted = _of_size(groups, each, settings.keep_remainder), number or 1
        key, advice = "classes_per_task" if number is None else "num_tasks", "lower num_tasks or classes_per_task"
    if len(tasks) < wanted:
        raise UserError(
            f"{settings.key(key)}={getattr(settings, key)}: {data.identity.name} has classes for {len(tasks)} tasks of "
            f"{each} classes; {advice}, or add the missing examples"
        )
    return tasks[:number]


def _of_size(groups: Sequence[list[int]], size: int, keep_remainder: bool) -> list[list[int]]:
    """Deals out tasks of `size` classes; of what is left of each group makes a smaller one, or none."""
    smallest = 1 if keep_remainder else size
    tasks = [own[start : start + size] for own in groups for start in range(0, len(own), size)]
    return [task for task in tasks if len(task) >= smallest]


def _of_sizes(groups: Sequence[list[int]], sizes: Sequence[int]) -> list[list[int]]:
    """Deals out as many tasks of these sizes as there are classes for; a group too small for the next is left."""
    tasks: list[list[int]] = []
    left = [list(group) for group in groups]
    for size in sizes:
        while left and len(left[0]) < size:
            del left[0]
        if not left:
            break
        tasks.append(left[0][:size])
        left[0] = left[0][size:]
    return tasks


def _grouped(data: Data, settings: Any) -> list[list[int]]:
    """Returns the classes of each group that has any with training and test examples.

    Raises:
        UserError: there are fewer groups than tasks.
    """
    tasks = [group for group in data.class_groups if group]
    if len(tasks) < (settings.num_tasks or 1):
        raise UserError(
            f"{settings.key('num_tasks')}={settings.num_tasks}: {data.identity.name} has {len(tasks)} groups of "
            "classes; give no more, or null"
        )
    return tasks[: settings.num_tasks]


def _listed(data: Data, groups: Sequence[Sequence[int | str]], key: str) -> list[list[int]]:
    """Returns the labels of listed classes: all entries are names, or else all are labels.

    Raises:
        UserError: there is no such class, or it has no examples to learn from or to test with.
    """
    names = list(map(str, data.class_names))
    entries = list(chain(*groups))
    unknown = [entry for entry in entries if str(entry) not in names]
    if unknown and not all(isinstance(entry, int) and 0 <= entry < len(names) for entry in entries):
        found = shown(unknown[0])
        raise UserError(f"{key}: {data.identity.name} has no class {found}{offered(found, names)}")
    labels = [[int(entry) if unknown else names.index(str(entry)) for entry in group] for group in groups]
    usable = set(chain(*data.class_groups))
    if lacking := [names[label] for label in chain(*labels) if label not in usable]:
        raise UserError(
            f"{key}: {data.identity.name} has no training or no test examples of {shown(', '.join(lacking))}; "
            "leave out such classes, or add the missing examples"
        )
    return labels

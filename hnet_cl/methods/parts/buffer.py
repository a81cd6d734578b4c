"""A replay buffer: stored training examples of old tasks, within a budget."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Literal, NamedTuple, Self

import torch
from pydantic import PositiveInt, model_validator
from torch import Generator, Tensor

from hnet_cl.benchmarks.base import Task, TasksTogether
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, stream


class Budget(base.Settings):
    """How many examples are stored: exactly one of the three is not None.

    `examples`: number of examples in all. `examples_per_class`: number for each class of each old task. `bytes`: bytes
    of the stored images, and one each for an example's label and task.
    """

    examples: PositiveInt | None
    examples_per_class: PositiveInt | None
    bytes: PositiveInt | None

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        given = [name for name in ("examples", "examples_per_class", "bytes") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{' and '.join(given) or 'no budget'} given; give exactly one of examples, examples_per_class and "
                "bytes, and null for the others"
            )
        return self

    def in_all(self, task: Task) -> int | None:
        """Returns how many examples like those of `task` are stored in all; None if it is a number for each class."""
        return self.examples if self.bytes is None else self.bytes // example_bytes(task)


class BufferSettings(Budget):
    """Settings of a replay buffer: its budget, and how it is shared.

    `balance`: `classes` shares a total budget equally among the classes of the old tasks, as far as they have that
    many examples; `greedy` does so as examples arrive, see the function of that name; `none` stores a uniform random
    sample of all old examples, as reservoir sampling does.
    """

    balance: Literal["classes", "greedy", "none"]


class Replayed(NamedTuple):
    """Examples from a buffer: inputs (n, *in_shape), within-task labels (n,), tasks (n,), and places (n,) in it."""

    inputs: Tensor
    labels: Tensor
    tasks: Tensor
    places: Tensor


class ReplayBuffer:
    """The stored training examples of old tasks.

    Every example has a random key that depends only on the seed, the task and its row; stored are those with the
    smallest keys. So the buffer is a function of the tasks, and is made again when a run continues; its examples are
    a uniform sample without replacement (of all old examples, or of each class), the distribution of reservoir
    sampling (Vitter 1985), and an example that has left it does not return. Images are stored as the data set has
    them, without augmentation, and augmented when they are drawn.

    Args:
        settings: the budget.
        tasks: the old tasks, with ids 0, 1, ... in order.
        seed: seed of the keys.

    Attributes:
        rows: for each task, the ascending rows of its stored training examples.
        data: the stored examples, to learn from.
        nbytes: bytes of the stored examples, see `example_bytes`.

    Raises:
        UserError: the budget is too small for a single example.
    """

    def __init__(self, settings: BufferSettings, tasks: Sequence[Task], seed: int) -> None:
        self.rows = _stored_rows(settings, tasks, seed)
        if not any(len(rows) for rows in self.rows):
            raise UserError(f"{settings.key('bytes')}={settings.bytes}: too little for one example; give more")
        stored = zip(tasks, self.rows, strict=True)
        self.data = TasksTogether(
            [replace(task, train=task.train.part(rows.to(task.train.labels.device))) for task, rows in stored]
        )

        self.nbytes = sum(len(rows) * example_bytes(task) for task, rows in zip(tasks, self.rows, strict=True))

    def __len__(self) -> int:
        return len(self.data)

    def draw(self, number: int, rng: Generator) -> Replayed:
        """Draws `number` distinct examples, or all if there are fewer, ordered by their places; `rng` is on the CPU."""
        places = torch.randperm(len(self), generator=rng)[:number].sort().values
        return Replayed(*self.data.batch(places, rng), places)


def example_bytes(task: Task) -> int:
    """Returns the bytes of one stored example: its image, and one byte each for label and task.

    In regression the label counts as it is.
    """
    images, labels = task.train.images, task.train.labels
    label = prod(labels.shape[1:]) * labels.element_size() if labels.is_floating_point() else 1
    return prod(images.shape[1:]) * images.element_size() + label + 1


def _stored_rows(settings: BufferSettings, tasks: Sequence[Task], seed: int) -> list[Tensor]:
    budget = settings.in_all(tasks[0])
    keys = [torch.rand(len(task.train), generator=stream(seed, Stream.BUFFER, task.id)) for task in tasks]
    if settings.balance == "none" and budget is not None:
        every = torch.cat(keys)
        chosen = torch.zeros(len(every), dtype=torch.bool)
        chosen[every.argsort(stable=True)[:budget]] = True
        return [part.nonzero()[:, 0] for part in chosen.split([len(key) for key in keys])]
    members = [(task.train.labels.cpu() == c).nonzero()[:, 0] for task in tasks for c in range(task.num_classes)]
    owners = [number for number, task in enumerate(tasks) for _ in range(task.num_classes)]
    if budget is None:
        sizes = [settings.examples_per_class or 0] * len(members)
    elif settings.balance == "greedy":
        sizes = greedy(_arrivals(tasks, keys), len(members), budget)
    else:
        sizes = shares([len(rows) for rows in members], budget)
    found: list[list[Tensor]] = [[] for _ in tasks]
    for owner, rows, size in zip(owners, members, sizes, strict=True):
        found[owner].append(rows[keys[owner][rows].argsort(stable=True)[:size]])
    return [torch.cat(parts).sort().values for parts in found]


def _arrivals(tasks: Sequence[Task], keys: Sequence[Tensor]) -> Iterator[int]:
    """Yields the class of each example, counted over all tasks, in the order of the tasks and of the keys in each."""
    before = 0
    for task, key in zip(tasks, keys, strict=True):
        yield from (task.train.labels.cpu()[key.argsort(stable=True)] + before).tolist()
        before += task.num_classes


def shares(sizes: Sequence[int], budget: int) -> list[int]:
    """Divides a budget equally among groups; what a group is too small for goes to the others.

    Args:
        sizes: the number of members of each group.
        budget: the number of members to choose in all.

    Returns:
        The number to choose from each group. Adding a group never raises the number of another.
    """
    chosen = [0] * len(sizes)
    left = budget
    for rank, group in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        chosen[group] = min(sizes[group], left // (len(sizes) - rank))
        left -= chosen[group]
    return chosen


def greedy(arrivals: Iterable[int], number: int, budget: int) -> list[int]:
    """Shares a budget among groups as their members arrive (greedy balancing sampler of GDumb, ECCV 2020, Alg. 1).

    A member is stored if it is the first of its group, or if its group has fewer than budget / (number of groups so
    far). Where the budget is used up, a member of the largest group (of several, the first) makes way for it.

    Args:
        arrivals: the group of each member, in 0..number-1, in their order.
        number: the number of groups.
        budget: the number of members to store in all.

    Returns:
        The number stored of each group, after the last arrival.
    """
    stored = [0] * number
    seen: set[int] = set()
    for group in arrivals:
        if group in seen and stored[group] * len(seen) >= budget:
            continue
        if sum(stored) == budget:
            stored[stored.index(max(stored))] -= 1
        stored[group] += 1
        seen.add(group)
    return stored

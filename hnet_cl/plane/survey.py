"""Accuracies of the networks that a trained hypernetwork generates at the points of a plane.

The figure of von Oswald et al. (ICLR 2020) on the task embeddings of split MNIST, section 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.parts.generated import Generated
from hnet_cl.predict.trained import Trained
from hnet_cl.report.embeddings_figure import Plane, plane

AROUND = 0.25  # of the range of the embeddings that is shown beyond them


@dataclass(frozen=True)
class Panel:
    """Accuracies of the networks of a plane on the test examples of one task.

    Attributes:
        task: the task, from 0.
        name: its name.
        accuracies: (P, P) at the points, as fractions; rows are y, columns are x.
        at_embeddings: (T,) at the embedding of each task.
        examples: number of test examples.
        available: number of those that the task has.
    """

    task: int
    name: str
    accuracies: np.ndarray
    at_embeddings: np.ndarray
    examples: int
    available: int


class Grid(NamedTuple):
    """Points of a plane of task embeddings.

    Attributes:
        plane: the embeddings in it.
        embeddings: (T, E) they themselves.
        x, y: (P,) coordinates of the points, as those of the embeddings in the plane.
    """

    plane: Plane
    embeddings: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def at(self, points: np.ndarray, task: int) -> np.ndarray:
        """Returns the embeddings (n, E) at points (n, 2) of the plane through the embedding of `task`."""
        moved: np.ndarray = self.embeddings[task] + (points - self.plane.points[task]) @ self.plane.axes
        return moved


def generating(trained: Trained) -> Generated:
    """Returns the learner, whose networks a hypernetwork generates.

    Raises:
        UserError: there is none that generates the network that answers, or the run is regression.
    """
    trained.require_classes()
    learner = trained.learner
    if not isinstance(learner, Generated):
        name = trained.plan.method.name
        raise UserError(
            f"method={name}: no hypernetwork generates the network that answers, so there are no task embeddings; give "
            "the run of one that does, as method=hnet"
        )
    return learner


def grid_around(embeddings: np.ndarray, points: int) -> Grid:
    """Lays a square grid of points x points around embeddings (T, E).

    Raises:
        UserError: the embeddings have no plane: they are single numbers, or larger than two and of fewer than three
            tasks.
    """
    tasks, size = embeddings.shape
    if size < 2 or (size > 2 and tasks < 3):
        raise UserError(
            f"method.hypernet.task_embedding={size}: the embeddings of {tasks} tasks have no plane; give a run with "
            "embeddings of two numbers, or of more numbers and at least three tasks"
        )
    found = plane(embeddings)
    low, high = found.points.min(0), found.points.max(0)
    half = (0.5 + AROUND) * (high - low).max() or 1.0
    x, y = (np.linspace(centre - half, centre + half, points) for centre in (low + high) / 2)
    return Grid(found, embeddings, x, y)


def panel(trained: Trained, grid: Grid, task: Task, examples: int) -> Panel:
    """Tests the networks of all points, and those of the task embeddings, on the test examples of a task.

    Normalisation layers have the task's own statistics everywhere, boxes of embeddings the task's own size. At the
    task's embedding the accuracy is that of the run after its last task, where all examples are used and the scenario
    tells the task.

    Args:
        trained: the trained learner.
        grid: the points.
        task: the task.
        examples: of more test examples than that, so many are drawn.
    """
    learner, size = generating(trained), trained.plan.training.eval_batch_size
    split = _drawn(task, examples, trained.plan.seed)
    own = learner.hypernetwork.embeddings([task.id])  # with the size of a box, if it is one
    points = np.stack([part.ravel() for part in np.meshgrid(grid.x, grid.y)], axis=1)
    found = accuracies(learner, _like(own, grid.at(points, task.id)), task.id, split, size)
    each = _like(own, grid.embeddings).split(1)
    marks = np.concatenate([accuracies(learner, one, task.id, split, size) for one in each])
    return Panel(task.id, task.name, found.reshape(len(grid.y), -1), marks, len(split), len(task.test))


def _like(own: Tensor, embeddings: np.ndarray) -> Tensor:
    """Returns embeddings (n, E) as a hypernetwork's `embeddings` (n, ...), with what `own` (1, ...) has beside its."""
    given = torch.from_numpy(embeddings).to(own)
    return torch.cat([given, own[:, given.shape[1] :].expand(len(given), -1)], dim=1)


@torch.no_grad()
def accuracies(learner: Generated, embeddings: Tensor, task: int, split: Split, batch_size: int) -> np.ndarray:
    """Computes the accuracies (B,) on examples of `task` of networks generated from embeddings (B, ...).

    Several networks are asked at once; a single one is asked as the learner itself asks its networks. An answer that
    rests on NaN or infinity is wrong.

    Args:
        learner: what generates.
        embeddings: as the hypernetwork's `embeddings`.
        task: the task, from 0.
        split: its examples.
        batch_size: examples at a time.
    """
    learner.target.train(False)
    right = [_right(learner, part, task, split, batch_size) for part in _groups(learner, embeddings, batch_size)]
    found: np.ndarray = torch.cat(right).cpu().numpy() / len(split)
    return found


def _groups(learner: Generated, embeddings: Tensor, batch_size: int) -> Iterator[Tensor]:
    for group in learner.networks.groups(range(len(embeddings)), batch_size):
        yield embeddings[group[0] : group[-1] + 1]


def _right(learner: Generated, embeddings: Tensor, task: int, split: Split, batch_size: int) -> Tensor:
    """Counts right answers (B,)."""
    networks, own = learner.networks, learner.heads.own(task)
    weights, buffers = networks.weights_at(embeddings), networks.buffers_of(task)
    right = torch.zeros(len(weights), dtype=torch.long, device=weights.device)
    for start in range(0, len(split), batch_size):
        inputs, labels = split.batch(slice(start, start + batch_size))
        if len(weights) == 1:
            logits = learner.target(weights.view(-1), inputs, buffers)[None]
        else:
            logits = networks.logits_with(weights, inputs, [buffers] * len(weights))
        logits = logits[..., own]
        right += ((logits.argmax(2) == labels) & logits.isfinite().all(2)).sum(1)
    return right


def _drawn(task: Task, examples: int, seed: int) -> Split:
    """Returns the test examples of a task, or as many of them as are asked for, drawn without replacement."""
    if examples >= len(task.test):
        return task.test
    chosen = torch.randperm(len(task.test), generator=stream(seed, Stream.PLANE, task.id))[:examples]
    return task.test.part(chosen.sort().values.to(task.test.labels.device))

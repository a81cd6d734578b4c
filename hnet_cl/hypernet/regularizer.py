"""The output regulariser: an old task is remembered as long as its generated weights stay where they were.

    R(theta) = 1/n * sum over n old tasks t of || h(e_t, theta) - h(e_t, theta*) ||^2

with theta* the hypernetwork as it was when the regulariser was made (von Oswald et al., ICLR 2020, Eq. 2; the
norm is the plain sum of squares over generated weights). The class below is the reference; `GramRegularizer` computes
the same number, `BlockRegularizer` estimates it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.lookahead import Distance
from hnet_cl.hypernet.target import Interval


class OutputRegularizer(ABC):
    """R as a function of theta, for the tasks and the theta* at the time of construction.

    Args:
        hypernetwork: gives theta* (its present parameters) and the old tasks' embeddings; both are copied.
        tasks: the old tasks.
        kept: for each of `tasks`, the intervals of the flat weight vector that count; None for all of them.

    Raises:
        ValueError: no old task, or `kept` does not give every one of them some weights that there are.
    """

    def __init__(
        self, hypernetwork: Hypernetwork, tasks: Sequence[int], kept: Sequence[Sequence[Interval]] | None = None
    ) -> None:
        if not tasks:
            raise ValueError("a regulariser needs at least one old task")
        self.hypernetwork = hypernetwork
        self.embeddings = hypernetwork.embeddings(tasks).detach()
        total = hypernetwork.layout.total
        self.kept = [merge_intervals(intervals) for intervals in kept or [[(0, total)]] * len(tasks)]
        if len(self.kept) != len(tasks) or not all(k and k[0][0] >= 0 and k[-1][1] <= total for k in self.kept):
            raise ValueError(f"each of {len(tasks)} old tasks needs intervals within 0..{total}, not {kept}")

    @abstractmethod
    def __call__(self, theta: Theta, chosen: Tensor | None = None) -> Tensor:
        """R(theta), a scalar; with `chosen` (int64) an estimate from a part of it, which subclasses name."""

    def draw(self, number: int | None, generator: torch.Generator) -> Tensor | None:
        """What to choose for an estimate from `number` of the old tasks, drawn uniformly; None if these are all."""
        tasks = len(self.embeddings)
        if number is None or number >= tasks:
            return None
        return torch.randperm(tasks, generator=generator, device=generator.device)[:number].to(self.embeddings.device)

    @property
    def distances(self) -> Mapping[str, Distance]:
        """Parameters for which `add_gradients` wants the distance from the origin, written there, not the value."""
        return {}

    def add_gradients(self, point: Theta, gradients: Theta, weight: float, chosen: Tensor | None = None) -> Tensor:
        """Adds weight * dR/dtheta at `point` to `gradients`, by name and in place; returns R, detached.

        What `__call__` and `backward` do, without the memory traffic of gradients of their own: for training loops.
        `point` is theta, save for `distances`, as `Lookahead` and `Standstill` have it when these are given to them.

        Raises:
            ValueError: `point` does not hold the distances.
        """
        value = self(point, chosen)
        more = torch.autograd.grad(value, list(point.values()))
        torch._foreach_add_([gradients[name] for name in point], more, alpha=weight)
        return value.detach()


class ExplicitRegularizer(OutputRegularizer):
    """The sum as it is written: generates every old task's weights, one task at a time. The reference.

    `chosen` are distinct positions in `tasks`, and R the mean over those. O(T N) time and memory.
    """

    def __init__(
        self, hypernetwork: Hypernetwork, tasks: Sequence[int], kept: Sequence[Sequence[Interval]] | None = None
    ) -> None:
        super().__init__(hypernetwork, tasks, kept)
        with torch.no_grad():
            self.targets = [hypernetwork(task) for task in tasks]

    def __call__(self, theta: Theta, chosen: Tensor | None = None) -> Tensor:
        positions = range(len(self.targets)) if chosen is None else chosen.tolist()
        total = torch.zeros((), device=self.embeddings.device)
        for i in positions:
            features = self.hypernetwork.features(self.embeddings[i : i + 1], theta)
            drift = self.hypernetwork.generate(features, theta)[0] - self.targets[i]
            for start, stop in self.kept[i]:
                total = total + drift[start:stop].square().sum()
        return total / len(positions)


def merge_intervals(intervals: Sequence[Interval]) -> list[Interval]:
    """Sorted, disjoint intervals with the same union; empty ones vanish."""
    merged: list[Interval] = []
    for start, stop in sorted(intervals):
        if start >= stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged

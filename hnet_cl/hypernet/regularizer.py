"""The output regulariser, which penalises changes of the weights that are generated for old tasks.

    R(theta) = 1/n * sum over n old tasks t of || h(e_t, theta) - h(e_t, theta*) ||^2

with theta* the hypernetwork's parameters when the regulariser was constructed (von Oswald et al., ICLR 2020, Eq. 2; the
squared norm is the plain sum of squares over generated weights). If the hypernetwork is `plastic`, the first e_t is the
task's embedding as it is trained on, in theta by the name of its parameter; the second one is always that of the time
of construction. `ExplicitRegularizer` is the reference; `GramRegularizer` computes the same value faster, and
`BlockRegularizer` estimates it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta, embedding_name
from hnet_cl.hypernet.lookahead import Drift
from hnet_cl.hypernet.target import Interval


class OutputRegularizer(ABC):
    """R as a function of theta, for the old tasks and the theta* at the time of construction.

    A custom regulariser only has to implement `__call__`; autograd does the rest.

    Args:
        hypernetwork: gives theta* (its present parameters) and the old tasks' embeddings, which are copied.
        tasks: the old tasks.
        kept: for each of `tasks`, the intervals of the flat weight vector that enter R; None for all weights.
        generator: source of randomness for a regulariser that samples; None for torch's global generator.

    Attributes:
        hypernetwork: as given.
        embeddings: the old tasks' embeddings (T, E) at the time of construction, constants.
        kept: for each of `tasks`, sorted, disjoint intervals.
        generator: as given.
        capturable: whether every evaluation does the same operations, all on the device, so that it can be part of a
            CUDA graph.

    Raises:
        ValueError: there is no old task, or `kept` does not give each of them at least one weight, all within 0..N.
    """

    capturable: bool = False

    def __init__(
        self,
        hypernetwork: Hypernetwork,
        tasks: Sequence[int],
        kept: Sequence[Sequence[Interval]] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        if not tasks:
            raise ValueError("a regulariser needs at least one old task")
        self.hypernetwork = hypernetwork
        self.generator = generator
        self.embeddings = hypernetwork.embeddings(tasks).detach()
        self._names = [embedding_name(task) for task in tasks]
        total = hypernetwork.layout.total
        self.kept = [merge_intervals(intervals) for intervals in kept or [[(0, total)]] * len(tasks)]
        if len(self.kept) != len(tasks) or not all(k and k[0][0] >= 0 and k[-1][1] <= total for k in self.kept):
            raise ValueError(f"each of {len(tasks)} old tasks needs intervals within 0..{total}, not {kept}")

    @abstractmethod
    def __call__(self, theta: Theta) -> Tensor:
        """Computes R(theta), a scalar that is differentiable with respect to every entry of `theta`."""

    def embeddings_in(self, theta: Theta) -> Tensor:
        """Returns the old tasks' embeddings (T, E): those in `theta` if it has them, or else the constants."""
        if self._names[0] not in theta:
            return self.embeddings
        return torch.stack([theta[name] for name in self._names])

    def weights(self, theta: Theta, number: int) -> Tensor:
        """Generates h(e_t, theta) (N,) for the old task t at position `number` of `tasks`."""
        features = self.hypernetwork.features(self.embeddings_in(theta)[number : number + 1], theta)
        return self.hypernetwork.generate(features, theta)[0]

    @property
    def drifts(self) -> Mapping[str, Drift]:
        """Returns by name the drifts that `add_gradients` uses for parameters that are missing from its `theta`."""
        return {}

    def add_gradients(self, theta: Theta, gradients: Theta, weight: float) -> Tensor:
        """Adds weight * dR/dtheta to `gradients`, by name and in place; returns R, detached.

        The result is that of calling the regulariser and `backward`. A subclass may override it with a computation that
        needs no separate gradient tensors.
        """
        value = self(theta)
        found = torch.autograd.grad(value, list(theta.values()), allow_unused=True)
        used = {name: gradient for name, gradient in zip(theta, found, strict=True) if gradient is not None}
        torch._foreach_add_([gradients[name] for name in used], list(used.values()), alpha=weight)
        return value.detach()


class ExplicitRegularizer(OutputRegularizer):
    """The reference, which generates the weights of every old task, one task at a time, in O(T N) memory.

    Args:
        hypernetwork, tasks, kept, generator: as for `OutputRegularizer`.
        sampled_tasks: R is the mean over this many old tasks, drawn afresh at each evaluation; None for all of them.

    Raises:
        ValueError: `sampled_tasks` is not positive, or as for `OutputRegularizer`.
    """

    def __init__(
        self,
        hypernetwork: Hypernetwork,
        tasks: Sequence[int],
        kept: Sequence[Sequence[Interval]] | None = None,
        generator: torch.Generator | None = None,
        *,
        sampled_tasks: int | None = None,
    ) -> None:
        super().__init__(hypernetwork, tasks, kept, generator)
        self.sampled_tasks = positive("sampled_tasks", sampled_tasks)
        self.capturable = sampled_tasks is None or sampled_tasks >= len(tasks)
        with torch.no_grad():
            self.before = [self.weights(hypernetwork.theta, number) for number in range(len(tasks))]

    def __call__(self, theta: Theta) -> Tensor:
        drawn = draw_tasks(self.embeddings, self.sampled_tasks, self.generator)
        numbers = range(len(self.before)) if drawn is None else drawn.tolist()
        total = torch.zeros((), device=self.embeddings.device)
        for number in numbers:
            drift = self.weights(theta, number) - self.before[number]
            for start, stop in self.kept[number]:
                total = total + drift[start:stop].square().sum()
        return total / len(numbers)


def draw_tasks(embeddings: Tensor, number: int | None, generator: torch.Generator | None) -> Tensor | None:
    """Draws distinct row indices (number,) of embeddings (T, E); returns None if `number` is None or at least T."""
    tasks = len(embeddings)
    if number is None or number >= tasks:
        return None
    device = embeddings.device if generator is None else generator.device
    return torch.randperm(tasks, generator=generator, device=device)[:number].to(embeddings.device)


def positive(name: str, number: int | None) -> int | None:
    """Returns the number of the setting `name` after checking it.

    Raises:
        ValueError: it is neither positive nor None.
    """
    if number is not None and number < 1:
        raise ValueError(f"{name}={number}: give a positive number, or None for all")
    return number


def merge_intervals(intervals: Sequence[Interval]) -> list[Interval]:
    """Returns sorted, disjoint, non-empty intervals with the same union."""
    merged: list[Interval] = []
    for start, stop in sorted(intervals):
        if start >= stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged

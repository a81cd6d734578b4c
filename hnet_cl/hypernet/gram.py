"""The output regulariser computed without generating the old tasks' weights, with the same value and gradients.

With M (2H+2, S) and z_tk (2H+2,) as in `hnet_cl.hypernet.last_layer`, where block k of task t drifts by M^T z_tk, the
sum of squares over all tasks and chunks is an inner product of two small matrices:

    sum_tk || M^T z_tk ||^2 = < M M^T, sum_tk z_tk z_tk^T >          both (2H+2, 2H+2)

That is O(S H^2 + T K H^2) instead of O(T K S H) time, and O(S H + T K H) instead of O(T K S) memory.

Not every column of M enters R for every z: the last chunk has surplus columns, and masked output heads leave out
more. The columns are cut into segments at each such border. Pairs (t, k) whose whole block enters R are summed once
for all segments; the few others, called partial, are added to the segments where they do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.last_layer import LastLayerRegularizer, gradient_of_psi, spans_of_blocks
from hnet_cl.hypernet.regularizer import draw_tasks, positive
from hnet_cl.hypernet.target import Interval
from hnet_cl.hypernet.tiled_matmul import tiled_matmul_t


@dataclass(frozen=True)
class Segment:
    """A range of columns of the last layer for which the same (task, chunk) pairs enter R."""

    columns: slice
    partial: Tensor  # (P,) indices of the partial pairs that enter R here
    anchor_gram: Tensor  # (H+1, H+1), A* A*^T over `columns`


class GramRegularizer(LastLayerRegularizer):
    """R from Gram matrices, as the module's docstring derives it; `ExplicitRegularizer` is the reference.

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
        # Where tasks are drawn, finding their pairs synchronises with the device.
        self.capturable = sampled_tasks is None or sampled_tasks >= len(tasks)
        with torch.no_grad():
            self.anchor_features = hypernetwork.features(self.embeddings)  # psi* (T, K, H+1)
        self._sort_pairs()
        self._all_places = self._find(self._all)  # only once, as finding them synchronises with a GPU

    def _sort_pairs(self) -> None:
        """Finds the (task, chunk) pairs that enter R whole, those that do so in part, and the segments."""
        size, device = self.hypernetwork.block_size, self.embeddings.device
        spans = spans_of_blocks(self.kept, size)
        partial = [pair for pair, parts in spans.items() if parts != [(0, size)]]
        whole = torch.zeros(self.anchor_features.shape[:2], dtype=torch.bool)
        for pair in spans:
            whole[pair] = True
        for pair in partial:
            whole[pair] = False
        self.whole = whole.to(device)
        self.partial = torch.tensor(partial, dtype=torch.long, device=device).reshape(-1, 2)
        self.segments = self._cut([spans[pair] for pair in partial])

    def _cut(self, spans: Sequence[Sequence[Interval]]) -> list[Segment]:
        """Returns the segments, given for each partial pair the spans of columns with which it enters R."""
        edges = {edge for parts in spans for span in parts for edge in span}
        borders = sorted({0, self.hypernetwork.block_size} | edges)
        place = {border: i for i, border in enumerate(borders)}
        counting: list[list[int]] = [[] for _ in borders]
        for pair, parts in enumerate(spans):
            for start, stop in parts:
                for i in range(place[start], place[stop]):
                    counting[i].append(pair)
        anchor = self.drift.origin
        return [
            Segment(
                slice(start, stop),
                torch.tensor(pairs, dtype=torch.long, device=anchor.device),
                tiled_matmul_t(anchor[:, start:stop], anchor[:, start:stop]),
            )
            for start, stop, pairs in zip(borders, borders[1:], counting, strict=False)
        ]

    def __call__(self, theta: Theta) -> Tensor:
        chosen = self._chosen()
        total: Tensor = _GramSum.apply(self._features(theta, chosen), theta["head"], self, chosen)
        return total * self._scale(chosen)

    @property
    def number(self) -> int:
        return len(self.embeddings)

    def draw(self) -> Tensor | None:
        return draw_tasks(self.embeddings, self.sampled_tasks, self.generator)

    def _features(self, theta: Theta, chosen: Tensor) -> Tensor:
        return self.hypernetwork.features(self.embeddings[chosen], theta)

    def _scale(self, chosen: Tensor) -> float:
        return 1 / len(chosen)

    def _add_head_gradient(
        self, features: Tensor, chosen: Tensor, weight: float, gradient: Tensor
    ) -> tuple[Tensor, Tensor]:
        sums = self.sums(features, self.drift.stacked, chosen)
        self.multiply(sums.moments, self.drift.stacked, weight, gradient)
        return sums.total, sums.grad_features

    def sums(self, features: Tensor, factor: Tensor, chosen: Tensor) -> "Sums":
        """Computes the sum of squares and what its gradients need.

        Args:
            features: psi (B, K, H+1) of the chosen tasks.
            factor: M (2H+2, S).
            chosen: positions (B,) of the chosen tasks in `tasks`.
        """
        half = features.shape[2]
        every = torch.cat([features, features - self.anchor_features[chosen]], dim=2)
        place, here = self._places(chosen)
        chunk = self.partial[here, 1]
        partial = every.new_zeros(len(self.partial), 2 * half)
        partial[here] = every[place, chunk]
        z = (every * self.whole[chosen, :, None]).flatten(0, 1)
        moment = z.T @ z
        total = features.new_zeros(())
        gram_sum = torch.zeros_like(moment)
        grad_partial = torch.zeros_like(partial)
        moments = []
        for segment in self.segments:
            gram = _gram(factor[:, segment.columns], segment.anchor_gram)
            some = partial[segment.partial]
            moments.append(torch.addmm(moment, some.T, some))
            total += torch.dot(gram.flatten(), moments[-1].flatten())
            gram_sum += gram
            grad_partial[segment.partial] += some @ gram
        grad_z = (z @ gram_sum).view_as(every)
        grad_z[place, chunk] += grad_partial[here]
        return Sums(total, gradient_of_psi(grad_z), moments)

    def multiply(self, moments: Sequence[Tensor], factor: Tensor, scale: Tensor | float, gradient: Tensor) -> None:
        """Adds the first H+1 rows of scale * sum(z z^T) M to `gradient` (H+1, S), with M = `factor` (2H+2, S)."""
        half = len(gradient)
        for segment, moment in zip(self.segments, moments, strict=True):
            gradient[:, segment.columns].addmm_(scale * moment[:half], factor[:, segment.columns])

    def _places(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the partial pairs whose task is chosen: their tasks' positions in `chosen`, and their indices."""
        return self._all_places if chosen is self._all else self._find(chosen)

    def _find(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        position = torch.full((len(self.embeddings),), -1, device=chosen.device)
        position[chosen] = torch.arange(len(chosen), device=chosen.device)
        place = position[self.partial[:, 0]]
        here = (place >= 0).nonzero()[:, 0]
        return place[here], here


class Sums(NamedTuple):
    """The sum over pairs of ||M^T z||^2, half its gradient (B, K, H+1) with respect to psi, sum(z z^T) per segment."""

    total: Tensor
    grad_features: Tensor
    moments: list[Tensor]


class _GramSum(torch.autograd.Function):
    """`GramRegularizer.sums` with its closed-form gradients: 2 sum(z z^T) M and 2 M M^T z."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, head: Tensor, owner: GramRegularizer, chosen: Tensor) -> Tensor:
        factor = owner.stacked(head)
        sums = owner.sums(features, factor, chosen)
        ctx.owner, ctx.moments = owner, sums.moments
        ctx.save_for_backward(factor, sums.grad_features)
        return sums.total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        factor, grad_features = ctx.saved_tensors
        grad_head = factor.new_zeros(len(factor) // 2, factor.shape[1])
        ctx.owner.multiply(ctx.moments, factor, 2 * grad, grad_head)
        return 2 * grad * grad_features, grad_head, None, None


def _gram(factor: Tensor, anchor_gram: Tensor) -> Tensor:
    """Computes M M^T (2H+2, 2H+2), multiplying only the changed rows, as the block A* A*^T is given."""
    half = len(anchor_gram)
    changed = tiled_matmul_t(factor[:half], factor)
    lower = torch.cat([changed[:, half:].T, anchor_gram], dim=1)
    return torch.cat([changed, lower])

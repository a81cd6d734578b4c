"""The output regulariser computed without generating the old tasks' weights, with the same value and gradients.

With M (2H+2, S) and z_tk (2H+2,) as in `hnet_cl.hypernet.last_layer`, where block k of task t drifts by M^T z_tk, the
sum of squares over all tasks and chunks is an inner product of two small matrices:

    sum_tk || M^T z_tk ||^2 = < M M^T, sum_tk z_tk z_tk^T >          both (2H+2, 2H+2)

That is O(S H^2 + T K H^2) instead of O(T K S H) time, and O(S H + T K H) instead of O(T K S) memory. Without hidden
layers the sum of z z^T separates into sums over tasks and over chunks (`SeparatedPairs`), and T K becomes T + K, unless
old embeddings are plastic.

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
from hnet_cl.hypernet.last_layer import LastLayerRegularizer, blocks_covered
from hnet_cl.hypernet.pairs import EveryPair, Pairs
from hnet_cl.hypernet.regularizer import draw_tasks, positive
from hnet_cl.hypernet.separated import SeparatedPairs
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
        covered = blocks_covered(self.kept, hypernetwork.chunks)
        kind = SeparatedPairs if hypernetwork.separates else EveryPair
        self.pairs: Pairs = kind(hypernetwork, self.embeddings, covered, self._all)
        self.segments = self._cut(list(covered.partial.values()))

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
        anchor = self.drift.origin[self.pairs.anchor]
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
        return self.pairs.features(theta, self.embeddings_in(theta)[chosen])

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
            features: what `pairs` makes z of, for the chosen tasks.
            factor: M (2H+2, S).
            chosen: positions (B,) of the chosen tasks in `tasks`.
        """
        pairs = self.pairs.collect(features, chosen)
        total = features.new_zeros(())
        gram_sum = torch.zeros_like(pairs.moment)
        grad_partial = torch.zeros_like(pairs.partial)
        moments = []
        for segment in self.segments:
            gram = _gram(self._rows(factor[:, segment.columns]), segment.anchor_gram)
            some = pairs.partial[segment.partial]
            moments.append(torch.addmm(pairs.moment, some.T, some))
            total += torch.dot(gram.flatten(), moments[-1].flatten())
            gram_sum += gram
            grad_partial[segment.partial] += some @ gram
        return Sums(total, pairs.pull(gram_sum, grad_partial), moments)

    def multiply(self, moments: Sequence[Tensor], factor: Tensor, scale: Tensor | float, gradient: Tensor) -> None:
        """Adds the first H+1 rows of scale * sum(z z^T) M to `gradient` (H+1, S), with M = `factor` (2H+2, S)."""
        half = len(gradient)
        for segment, moment in zip(self.segments, moments, strict=True):
            rows = self._rows(factor[:, segment.columns])
            columns = moment[:half].split([len(block) for block in rows], dim=1)
            for block, own in zip(rows, columns, strict=True):
                gradient[:, segment.columns].addmm_(scale * own, block)

    def _rows(self, factor: Tensor) -> list[Tensor]:
        """Returns the rows of M = [A - A*; A*] that z multiplies: one or two blocks that begin with A - A*."""
        half, anchor = len(factor) // 2, self.pairs.anchor
        if anchor.start == 0:
            return [factor[: half + anchor.stop]]
        return [factor[:half], factor[half + anchor.start : half + anchor.stop]]


class Sums(NamedTuple):
    """The sum over pairs of ||M^T z||^2, half its gradient with respect to the features, sum(z z^T) per segment."""

    total: Tensor
    grad_features: Tensor
    moments: list[Tensor]


class _GramSum(torch.autograd.Function):
    """`GramRegularizer.sums` with its closed-form gradients: 2 sum(z z^T) M, and 2 M M^T z pulled to the features."""

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


def _gram(rows: Sequence[Tensor], anchor_gram: Tensor) -> Tensor:
    """Computes M M^T (Z, Z) from blocks of rows of M, multiplying only the changed ones, as the last block is given."""
    changed_rows = rows[0][: sum(map(len, rows)) - len(anchor_gram)]
    changed = torch.cat([tiled_matmul_t(changed_rows, block) for block in rows], dim=1)
    lower = torch.cat([changed[:, len(changed) :].T, anchor_gram], dim=1)
    return torch.cat([changed, lower])

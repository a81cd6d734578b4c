"""The output regulariser estimated from a few generated blocks: for long sequences of large, finely chunked networks.

With T old tasks and K chunks, R = 1/T sum_tk || block_tk - block_tk* ||^2 has T K terms. Of n pairs (t, k) drawn
uniformly, with replacement,

    R' = K/n * sum over the pairs || block_tk - block_tk* ||^2

has R as its expectation, gradients included, at a cost that depends neither on T nor on K. A block's drift is written
as in `hnet_cl.hypernet.gram`, M^T z with M = [A - A*; A*] and z = [psi; psi - psi*], so that it is exact in float32.
What is kept is a copy of theta*, no generated weights; psi* is computed anew for the pairs of each step.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.lookahead import Distance
from hnet_cl.hypernet.products import products_of_rows
from hnet_cl.hypernet.regularizer import OutputRegularizer
from hnet_cl.hypernet.target import Interval


class BlockRegularizer(OutputRegularizer):
    """R' for the pairs that are `chosen`, numbered t * K + k, t being the position in `tasks`; R without a choice."""

    def __init__(
        self, hypernetwork: Hypernetwork, tasks: Sequence[int], kept: Sequence[Sequence[Interval]] | None = None
    ) -> None:
        super().__init__(hypernetwork, tasks, kept)
        self.number = len(tasks) * hypernetwork.num_chunks
        self._all = torch.arange(self.number, device=self.embeddings.device)
        anchor = {name: parameter.detach() for name, parameter in hypernetwork.theta.items()}
        self.factor = torch.cat([torch.zeros_like(anchor["head"]), anchor["head"]])  # M; its first half changes
        self.anchor = {name: value.clone() for name, value in anchor.items() if name != "head"}
        self._mark_columns()

    def _mark_columns(self) -> None:
        """Which columns of a block count, for the pairs where not all do: the cut last chunk, masked heads."""
        size, chunks = self.hypernetwork.block_size, self.hypernetwork.num_chunks
        masks: dict[tuple[Interval, ...], int] = {((0, size),): 0}
        mask_of = []
        for intervals in self.kept:
            for first in range(0, chunks * size, size):
                spans = ((max(start - first, 0), min(stop - first, size)) for start, stop in intervals)
                counting = tuple(span for span in spans if span[0] < span[1])
                mask_of.append(masks.setdefault(counting, len(masks)))
        device = self.embeddings.device
        self.masks = torch.zeros(len(masks), size, device=device, dtype=torch.bool)
        for spans_of_mask, row in masks.items():
            for start, stop in spans_of_mask:
                self.masks[row, start:stop] = True
        self.mask_of = torch.tensor(mask_of, device=device)

    def __call__(self, theta: Theta, chosen: Tensor | None = None) -> Tensor:
        chosen = self._all if chosen is None else chosen
        origin = self.distances["head"].origin
        z = self._pairs(self._features(theta, chosen), chosen)
        drift = self._masked(z @ torch.cat([theta["head"] - origin, origin]), chosen)
        return drift.square().sum() * self._weight(chosen)

    @property
    def distances(self) -> Mapping[str, Distance]:
        half = len(self.factor) // 2
        return {"head": Distance(self.factor[half:], self.factor[:half])}

    def add_gradients(self, point: Theta, gradients: Theta, weight: float, chosen: Tensor | None = None) -> Tensor:
        self._require_distances(point)
        chosen = self._all if chosen is None else chosen
        scale = self._weight(chosen)
        features = self._features(point, chosen)
        rest = [name for name in point if name not in self.distances]
        with torch.no_grad():
            drift = self._masked(self._pairs(features, chosen) @ self.factor, chosen)
            gradients["head"].addmm_(features.T, drift, alpha=2 * weight * scale)
            grad_z = products_of_rows(drift, self.factor)
            # psi stands in z twice, as psi and in psi - psi*
            grad_features = grad_z[:, : features.shape[1]] + grad_z[:, features.shape[1] :]
        more = torch.autograd.grad(features, [point[name] for name in rest], grad_features)
        torch._foreach_add_([gradients[name] for name in rest], more, alpha=2 * weight * scale)
        return drift.square().sum() * scale

    def _pairs(self, features: Tensor, chosen: Tensor) -> Tensor:
        """z (n, 2H+2)."""
        with torch.no_grad():
            before = self._features(self.anchor, chosen)
        return torch.cat([features, features - before], dim=1)

    def _masked(self, blocks: Tensor, chosen: Tensor) -> Tensor:
        """Blocks (n, C) with zeros where a weight does not count."""
        return blocks * self.masks[self.mask_of[chosen]]

    def _features(self, theta: Theta, chosen: Tensor) -> Tensor:
        chunks = self.hypernetwork.num_chunks
        tasks = torch.div(chosen, chunks, rounding_mode="floor")
        return self.hypernetwork.features_of_pairs(self.embeddings[tasks], chosen % chunks, theta)

    def _weight(self, chosen: Tensor) -> float:
        return self.hypernetwork.num_chunks / len(chosen)

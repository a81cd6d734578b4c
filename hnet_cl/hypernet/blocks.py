"""The output regulariser estimated from a few generated blocks: for long sequences of large, finely chunked networks.

With T old tasks and K chunks, R = 1/T sum_tk || block_tk - block_tk* ||^2 has T K terms. Of n pairs (t, k) drawn
uniformly, with replacement,

    R' = K/n * sum over the pairs || block_tk - block_tk* ||^2

has R as its expectation, gradients included, at a cost that depends neither on T nor on K. What is kept is a copy of
theta*, no generated weights; psi* is computed anew for the pairs of each step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hnet_cl.hypernet.anchored import AnchoredRegularizer, gradient_of_psi, spans_of_blocks
from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.products import products_of_rows
from hnet_cl.hypernet.target import Interval


class BlockRegularizer(AnchoredRegularizer):
    """R' for the pairs that are `chosen`, numbered t * K + k, t being the position in `tasks`; R without a choice."""

    def __init__(
        self, hypernetwork: Hypernetwork, tasks: Sequence[int], kept: Sequence[Sequence[Interval]] | None = None
    ) -> None:
        super().__init__(hypernetwork, tasks, kept)
        self.anchor = {n: p.detach().clone() for n, p in hypernetwork.theta.items() if n not in self.distances}
        self._mark_columns()

    def _mark_columns(self) -> None:
        """Which columns of a block count: a row of `masks` for each of the few ways in which blocks are cut."""
        size, device = self.hypernetwork.block_size, self.embeddings.device
        rows: dict[tuple[Interval, ...], int] = {(): 0}
        mask_of = torch.zeros(len(self.kept), self.hypernetwork.num_chunks, dtype=torch.long)
        for pair, spans in spans_of_blocks(self.kept, size).items():
            mask_of[pair] = rows.setdefault(tuple(spans), len(rows))
        self.masks = torch.zeros(len(rows), size, device=device, dtype=torch.bool)
        for cut, row in rows.items():
            for start, stop in cut:
                self.masks[row, start:stop] = True
        self.mask_of = mask_of.flatten().to(device)

    def __call__(self, theta: Theta, chosen: Tensor | None = None) -> Tensor:
        chosen = self._all if chosen is None else chosen
        origin = self.distances["head"].origin
        z = self._pairs(self._features(theta, chosen), chosen)
        drift = self._masked(z @ torch.cat([theta["head"] - origin, origin]), chosen)
        return drift.square().sum() * self._scale(chosen)

    @property
    def number(self) -> int:
        return len(self.embeddings) * self.hypernetwork.num_chunks

    def draw(self, number: int | None, generator: torch.Generator) -> Tensor | None:
        """As the base class has it, of pairs instead of tasks and with replacement."""
        if number is None:
            return None
        pairs = torch.randint(self.number, (number,), generator=generator, device=generator.device)
        return pairs.to(self.embeddings.device)

    def _add_head_gradient(
        self, features: Tensor, chosen: Tensor, weight: float, gradient: Tensor
    ) -> tuple[Tensor, Tensor]:
        drift = self._masked(self._pairs(features, chosen) @ self.factor, chosen)
        gradient.addmm_(features.T, drift, alpha=weight)
        return drift.square().sum(), gradient_of_psi(products_of_rows(drift, self.factor))

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

    def _scale(self, chosen: Tensor) -> float:
        return self.hypernetwork.num_chunks / len(chosen)

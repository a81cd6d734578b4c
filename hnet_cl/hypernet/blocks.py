"""The output regulariser estimated from a few generated blocks, for long task sequences and finely chunked networks.

With T old tasks and K chunks, R = 1/T sum_tk || block_tk - block_tk* ||^2 has T K terms. Of n pairs (t, k) drawn
uniformly, with replacement,

    R' = K/n * sum over the pairs || block_tk - block_tk* ||^2

is an unbiased estimate of R, and its gradient one of R's gradient, at a cost that depends neither on T nor on K. Only a
copy of theta* is stored, no generated weights; psi* is recomputed for the pairs of each step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.last_layer import LastLayerRegularizer, blocks_covered, gradient_of_psi
from hnet_cl.hypernet.regularizer import positive
from hnet_cl.hypernet.target import Interval
from hnet_cl.hypernet.tiled_matmul import tiled_matmul_t


class BlockRegularizer(LastLayerRegularizer):
    """The estimate R' from pairs numbered t * K + k, where t is the position in `tasks`.

    Args:
        hypernetwork, tasks, kept, generator: as for `OutputRegularizer`.
        sampled_blocks: n, the number of pairs that are drawn afresh at each evaluation. None, or a number of at least
            T K, takes every pair once, which gives R itself.

    Raises:
        ValueError: `sampled_blocks` is not positive, or as for `OutputRegularizer`.
    """

    capturable = True

    def __init__(
        self,
        hypernetwork: Hypernetwork,
        tasks: Sequence[int],
        kept: Sequence[Sequence[Interval]] | None = None,
        generator: torch.Generator | None = None,
        *,
        sampled_blocks: int | None = None,
    ) -> None:
        super().__init__(hypernetwork, tasks, kept, generator)
        self.sampled_blocks = positive("sampled_blocks", sampled_blocks)
        self.before = {n: p.detach().clone() for n, p in hypernetwork.theta.items() if n not in self.drifts}
        self._mark_columns()

    def _mark_columns(self) -> None:
        """Computes which columns of each block enter R: one row of `masks` for every distinct set of columns."""
        size, device = self.hypernetwork.block_size, self.embeddings.device
        rows: dict[tuple[Interval, ...], int] = {(): 0, ((0, size),): 1}
        mask_of = torch.zeros(len(self.kept), self.hypernetwork.num_chunks, dtype=torch.long)
        covered = blocks_covered(self.kept, self.hypernetwork.chunks)
        for task, first, after in covered.whole:
            mask_of[task, first:after] = 1
        for pair, spans in covered.partial.items():
            mask_of[pair] = rows.setdefault(tuple(spans), len(rows))
        self.masks = torch.zeros(len(rows), size, device=device, dtype=torch.bool)
        for cut, row in rows.items():
            for start, stop in cut:
                self.masks[row, start:stop] = True
        self.mask_of = mask_of.flatten().to(device)

    def __call__(self, theta: Theta) -> Tensor:
        chosen = self._chosen()
        z = self._pairs(self._features(theta, chosen), chosen)
        drift = self._masked(z @ self.stacked(theta["head"]), chosen)
        return drift.square().sum() * self._scale(chosen)

    @property
    def number(self) -> int:
        return len(self.embeddings) * self.hypernetwork.num_chunks

    def draw(self) -> Tensor | None:
        if self.sampled_blocks is None or self.sampled_blocks >= self.number:
            return None
        device = self.embeddings.device if self.generator is None else self.generator.device
        pairs = torch.randint(self.number, (self.sampled_blocks,), generator=self.generator, device=device)
        return pairs.to(self.embeddings.device)

    def _add_head_gradient(
        self, features: Tensor, chosen: Tensor, weight: float, gradient: Tensor
    ) -> tuple[Tensor, Tensor]:
        drift = self._masked(self._pairs(features, chosen) @ self.drift.stacked, chosen)
        gradient.addmm_(features.T, drift, alpha=weight)
        return drift.square().sum(), gradient_of_psi(tiled_matmul_t(drift, self.drift.stacked))

    def _pairs(self, features: Tensor, chosen: Tensor) -> Tensor:
        """Computes z = [psi; psi - psi*] (n, 2H+2) from psi = `features` (n, H+1) of the chosen pairs (n,)."""
        with torch.no_grad():
            before = self._features(self.before, chosen)
        return torch.cat([features, features - before], dim=1)

    def _masked(self, blocks: Tensor, chosen: Tensor) -> Tensor:
        """Returns blocks (n, S) of the chosen pairs (n,), with zeros at the weights that do not enter R."""
        return blocks * self.masks[self.mask_of[chosen]]

    def _features(self, theta: Theta, chosen: Tensor) -> Tensor:
        chunks = self.hypernetwork.num_chunks
        tasks = torch.div(chosen, chunks, rounding_mode="floor")
        return self.hypernetwork.features_of_pairs(self.embeddings_in(theta)[tasks], chosen % chunks, theta)

    def _scale(self, chosen: Tensor) -> float:
        return self.hypernetwork.num_chunks / len(chosen)

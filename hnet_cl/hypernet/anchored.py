"""What regularisers share that write the drift of generated blocks by that of the hypernetwork's last layer.

The last layer is linear in psi = [phi; 1]: block k of task t is A^T psi_tk, with A (H+1, C) its weights and biases.
With * for the values at the time of construction,

    block - block* = (A - A*)^T psi + A*^T (psi - psi*) = M^T z      M = [A - A*; A*]  (2H+2, C)
                                                                     z = [psi; psi - psi*]  (2H+2,)

This is exact in float32 because only small differences are multiplied: in A^T psi - A*^T psi* digits would cancel.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.lookahead import Distance
from hnet_cl.hypernet.regularizer import OutputRegularizer
from hnet_cl.hypernet.target import Interval


class AnchoredRegularizer(OutputRegularizer):
    """Keeps M as `factor`, whose first half, A - A*, `Lookahead` and `Standstill` write as the `distances`."""

    def __init__(
        self, hypernetwork: Hypernetwork, tasks: Sequence[int], kept: Sequence[Sequence[Interval]] | None = None
    ) -> None:
        super().__init__(hypernetwork, tasks, kept)
        anchor = hypernetwork.head.detach()
        self.factor = torch.cat([torch.zeros_like(anchor), anchor])
        self._all = torch.arange(self.number, device=anchor.device)  # what is chosen without a choice

    @property
    @abstractmethod
    def number(self) -> int:
        """How many there are to choose from."""

    @abstractmethod
    def _features(self, theta: Theta, chosen: Tensor) -> Tensor:
        """psi (..., H+1) of what is chosen."""

    @abstractmethod
    def _scale(self, chosen: Tensor) -> float:
        """What the sum of squares over the chosen is multiplied by to give R."""

    @abstractmethod
    def _add_head_gradient(
        self, features: Tensor, chosen: Tensor, weight: float, gradient: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The sum of squares at `features` (..., H+1) and `factor`, and half its gradient with respect to `features`.

        Half its gradient with respect to the last layer, times `weight`, is added to `gradient` (H+1, C).
        """

    @property
    def distances(self) -> Mapping[str, Distance]:
        half = len(self.factor) // 2
        return {"head": Distance(self.factor[half:], self.factor[:half])}

    def add_gradients(self, point: Theta, gradients: Theta, weight: float, chosen: Tensor | None = None) -> Tensor:
        self._require_distances(point)
        chosen = self._all if chosen is None else chosen
        scale = self._scale(chosen)
        twice = 2 * weight * scale  # d(x^2) = 2 x dx
        features = self._features(point, chosen)
        with torch.no_grad():
            total, grad_features = self._add_head_gradient(features, chosen, twice, gradients["head"])
        rest = [name for name in point if name not in self.distances]
        more = torch.autograd.grad(features, [point[name] for name in rest], grad_features)
        torch._foreach_add_([gradients[name] for name in rest], more, alpha=twice)
        return total * scale

    def _require_distances(self, point: Theta) -> None:
        for name, distance in self.distances.items():
            if point[name].data_ptr() != distance.out.data_ptr():
                raise ValueError(
                    f"add_gradients takes {name!r} as its distance from the anchor: give this regulariser's "
                    "`distances` to Lookahead or Standstill, or use the regulariser's value and autograd"
                )


def gradient_of_psi(grad_z: Tensor) -> Tensor:
    """From (..., 2H+2) to (..., H+1): psi stands in z twice, as psi and in psi - psi*."""
    of_psi, of_drift = grad_z.chunk(2, dim=-1)
    return of_psi + of_drift


def spans_of_blocks(kept: Sequence[Sequence[Interval]], size: int) -> dict[tuple[int, int], list[Interval]]:
    """Which columns count, for every (task, chunk) with any, from the intervals of weights that count for each task."""
    spans: dict[tuple[int, int], list[Interval]] = {}
    for task, intervals in enumerate(kept):
        for start, stop in intervals:
            for chunk in range(start // size, -(-stop // size)):
                first = chunk * size
                span = max(start - first, 0), min(stop - first, size)
                spans.setdefault((task, chunk), []).append(span)
    return spans

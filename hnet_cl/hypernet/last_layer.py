"""The base class of regularisers that express the drift of generated blocks by the drift of the last layer.

A block consists of the weights generated from one chunk embedding for one task. The last layer is linear in
psi = [phi; 1]: block k of task t is A^T psi_tk, with A (H+1, S) its weights and biases. With * for the values at the
time of construction,

    block - block* = (A - A*)^T psi + A*^T (psi - psi*) = M^T z      M = [A - A*; A*]  (2H+2, S)
                                                                     z = [psi; psi - psi*]  (2H+2,)

This form is accurate in float32 because it multiplies the small differences themselves; A^T psi - A*^T psi* would lose
digits to cancellation.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hnet_cl.hypernet.chunks import Chunks
from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.lookahead import Drift
from hnet_cl.hypernet.regularizer import OutputRegularizer
from hnet_cl.hypernet.target import Interval


class LastLayerRegularizer(OutputRegularizer):
    """R computed from M and z, where M is the stacked `drift` of the last layer.

    R is a scaled sum over terms (old tasks, or pairs of a task and a chunk), of which a subclass may draw a few.
    """

    def __init__(
        self,
        hypernetwork: Hypernetwork,
        tasks: Sequence[int],
        kept: Sequence[Sequence[Interval]] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(hypernetwork, tasks, kept, generator)
        self.drift = Drift(hypernetwork.head)
        self._all = torch.arange(self.number, device=self.embeddings.device)  # the terms used where none are drawn

    @property
    @abstractmethod
    def number(self) -> int:
        """Returns the number of terms from which `draw` chooses."""

    @abstractmethod
    def draw(self) -> Tensor | None:
        """Draws the indices (n,), int64, of the terms from which R is estimated; returns None for all of them."""

    @abstractmethod
    def _features(self, theta: Theta, chosen: Tensor) -> Tensor:
        """Computes what z of the chosen terms depends on: psi (..., H+1), or something of which it is made."""

    @abstractmethod
    def _scale(self, chosen: Tensor) -> float:
        """Returns the factor that turns the sum of squares over the chosen terms into R."""

    @abstractmethod
    def _add_head_gradient(
        self, features: Tensor, chosen: Tensor, weight: float, gradient: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Computes the sum of squares at `features`, as `_features` returns them, and `drift`, and half its gradient.

        Returns the sum and half its gradient with respect to `features`. Half its gradient with respect to the last
        layer, times `weight`, is added to `gradient` (H+1, S) in place.
        """

    @property
    def drifts(self) -> Mapping[str, Drift]:
        return {"head": self.drift}

    def add_gradients(self, theta: Theta, gradients: Theta, weight: float) -> Tensor:
        if "head" in theta:
            self.drift.measure(theta["head"])
        chosen = self._chosen()
        scale = self._scale(chosen)
        twice = 2 * weight * scale  # d(x^2) = 2 x dx
        features = self._features(theta, chosen)
        with torch.no_grad():
            total, grad_features = self._add_head_gradient(features, chosen, twice, gradients["head"])
        rest = [name for name in theta if name != "head"]
        pulled = (features * grad_features).sum()  # torch.autograd.grad imports SymPy where it is given gradients
        more = torch.autograd.grad(pulled, [theta[name] for name in rest])
        torch._foreach_add_([gradients[name] for name in rest], more, alpha=twice)
        return total * scale

    def _chosen(self) -> Tensor:
        drawn = self.draw()
        return self._all if drawn is None else drawn

    def stacked(self, head: Tensor) -> Tensor:
        """Computes M (2H+2, S) from the last layer `head` (H+1, S), differentiably; `drift` is left as it is."""
        return torch.cat([head - self.drift.origin, self.drift.origin])


def gradient_of_psi(grad_z: Tensor) -> Tensor:
    """Returns the gradient with respect to psi (..., H+1), given that with respect to z = [psi; psi - psi*]."""
    of_psi, of_drift = grad_z.chunk(2, dim=-1)
    return of_psi + of_drift


class Covered(NamedTuple):
    """Which weights of which blocks enter R; `task` is the position in `kept`.

    Attributes:
        whole: (task, first, last + 1) for each run of chunks that enter R whole.
        partial: for each pair (task, chunk) that enters R in part, in order, the spans of columns that do.
    """

    whole: list[tuple[int, int, int]]
    partial: dict[tuple[int, int], list[Interval]]


def blocks_covered(kept: Sequence[Sequence[Interval]], chunks: Chunks) -> Covered:
    """Converts each task's sorted, disjoint intervals `kept` of the flat weight vector to the blocks of `chunks`."""
    covered, size = Covered([], {}), chunks.size
    for task, intervals in enumerate(kept):
        for start, stop in chunks.in_blocks(intervals):
            first, after = -(-start // size), stop // size
            if first < after:
                covered.whole.append((task, first, after))
            for chunk in sorted({start // size, (stop - 1) // size}):
                if not first <= chunk < after:
                    span = max(start - chunk * size, 0), min(stop - chunk * size, size)
                    covered.partial.setdefault((task, chunk), []).append(span)
    return covered

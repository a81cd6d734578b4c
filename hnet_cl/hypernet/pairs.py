"""The (task, chunk) pairs that enter a `GramRegularizer`, and the sums over them that it needs."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.last_layer import Covered, gradient_of_psi


class Collected(NamedTuple):
    """Sums over the pairs of some tasks, and how their gradient reaches the features.

    Attributes:
        moment: the sum of z z^T (Z, Z) over the pairs that enter R whole.
        partial: z (P, Z) of the pairs that enter R in part; zero where the task is not among these.
        pull: computes half the gradient of R with respect to the features, given the matrix G (Z, Z) by which each z of
            a whole pair is multiplied and the products (P, Z) of the partial pairs.
    """

    moment: Tensor
    partial: Tensor
    pull: Callable[[Tensor, Tensor], Tensor]


class Pairs(ABC):
    """The pairs that enter R, of which those that do so whole are summed, and the others, called partial, kept apart.

    Args:
        hypernetwork: gives psi*, by its present parameters.
        embeddings: the old tasks' embeddings (T, E).
        covered: the blocks that enter R.
        every: the positions (T,) of all tasks; a draw of just this tensor is the most frequent one.

    Attributes:
        anchor: the rows of A* that z multiplies. Z is H+1 plus their number.
        partial: (task, chunk) of the partial pairs (P, 2).
    """

    anchor: slice

    def __init__(self, hypernetwork: Hypernetwork, embeddings: Tensor, covered: Covered, every: Tensor) -> None:
        self.hypernetwork, self.embeddings, self._every = hypernetwork, embeddings, every
        whole = torch.zeros(len(embeddings), hypernetwork.num_chunks, dtype=torch.bool)
        for task, first, after in covered.whole:
            whole[task, first:after] = True
        self.whole = whole.to(embeddings.device)  # (T, K)
        self.partial = torch.tensor(list(covered.partial), dtype=torch.long, device=embeddings.device).reshape(-1, 2)
        self._all_places = self._find(every)  # only once, as finding them synchronises with a GPU

    @abstractmethod
    def features(self, theta: Theta, embeddings: Tensor) -> Tensor:
        """Computes what z of the tasks with these embeddings (B, E) depends on."""

    @abstractmethod
    def collect(self, features: Tensor, chosen: Tensor) -> Collected:
        """Computes the sums over the pairs of the tasks at the positions `chosen` (B,), given their `features`."""

    def _places(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the partial pairs whose task is chosen: their tasks' positions in `chosen`, and their indices."""
        return self._all_places if chosen is self._every else self._find(chosen)

    def _find(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        position = torch.full((len(self.embeddings),), -1, device=chosen.device)
        position[chosen] = torch.arange(len(chosen), device=chosen.device)
        place = position[self.partial[:, 0]]
        here = (place >= 0).nonzero()[:, 0]
        return place[here], here


class EveryPair(Pairs):
    """Pairs of any hypernetwork, each for itself: O(T K H^2) time, O(T K H) memory. Features are psi (B, K, H+1)."""

    def __init__(self, hypernetwork: Hypernetwork, embeddings: Tensor, covered: Covered, every: Tensor) -> None:
        super().__init__(hypernetwork, embeddings, covered, every)
        self.anchor = slice(0, len(hypernetwork.head))
        with torch.no_grad():
            self.anchor_features = hypernetwork.features(embeddings)  # psi* (T, K, H+1)

    def features(self, theta: Theta, embeddings: Tensor) -> Tensor:
        return self.hypernetwork.features(embeddings, theta)

    def collect(self, features: Tensor, chosen: Tensor) -> Collected:
        every = torch.cat([features, features - self.anchor_features[chosen]], dim=2)
        place, here = self._places(chosen)
        chunk = self.partial[here, 1]
        partial = every.new_zeros(len(self.partial), every.shape[2])
        partial[here] = every[place, chunk]
        z = (every * self.whole[chosen, :, None]).flatten(0, 1)

        def pull(gram: Tensor, grad_partial: Tensor) -> Tensor:
            grad_z = (z @ gram).view_as(every)
            grad_z[place, chunk] += grad_partial[here]
            return gradient_of_psi(grad_z)

        return Collected(z.T @ z, partial, pull)

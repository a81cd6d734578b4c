"""The quadratic penalty of EWC and SI, which pulls weights that are important for old tasks to their old values."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hnet_cl.core.errors import UserError


class QuadraticPenalty(nn.Module):
    """The penalty c * sum_i importance_i * (w_i - anchor_i)^2 over all weights of a network.

    `importance` (at first zero) and `anchor` (at first the given weights) are buffers with the weights' shapes, so they
    are part of every checkpoint.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        for i, weight in enumerate(weights):
            self.register_buffer(f"importance_{i}", torch.zeros_like(weight))
            self.register_buffer(f"anchor_{i}", weight.detach().clone())
        self._number = len(weights)

    @property
    def importance(self) -> list[Tensor]:
        """Returns the importance of the weights, one tensor for each weight tensor."""
        return [self.get_buffer(f"importance_{i}") for i in range(self._number)]

    @property
    def anchor(self) -> list[Tensor]:
        """Returns the values to which weights are pulled, one tensor for each weight tensor."""
        return [self.get_buffer(f"anchor_{i}") for i in range(self._number)]

    @torch.no_grad()
    def add_gradient(self, weights: list[Tensor], gradients: list[Tensor], c: float) -> Tensor:
        """Adds the penalty's gradient 2 c importance (w - anchor) to `gradients`; returns its value."""
        drifts = torch._foreach_sub(weights, self.anchor)
        pulls = torch._foreach_mul(self.importance, drifts)
        torch._foreach_add_(gradients, pulls, alpha=2 * c)
        return c * torch.stack([p.flatten().dot(d.flatten()) for p, d in zip(pulls, drifts, strict=True)]).sum()

    @torch.no_grad()
    def anchor_at(self, weights: Sequence[Tensor]) -> None:
        """Moves the anchor to `weights`.

        Raises:
            UserError: the importance is NaN or infinite, so the penalty would make weights NaN.
        """
        if not all(importance.isfinite().all() for importance in self.importance):
            raise UserError(
                "training diverged: the importance of weights for the tasks so far is NaN or infinite; "
                "use a smaller training.lr or method.strength"
            )
        for anchor, weight in zip(self.anchor, weights, strict=True):
            anchor.copy_(weight)

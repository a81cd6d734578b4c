"""Averaged gradient episodic memory: no step that raises the loss on stored examples."""

import torch
from torch import Tensor

from hnet_cl.methods.parts.rehearsal import Rehearsal

SMALLEST = 1e-7  # added to the squared length of the reference gradient (three-scenarios code)


class AGEM(Rehearsal):
    """A classifier whose gradient g is projected (Chaudhry et al., ICLR 2019, Eq. 11).

    With r the gradient of the loss on a batch of stored examples, g becomes g - (g.r / r.r) r where g.r < 0. All
    weights are one vector.
    """

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if not self.replayed:
            return {}
        loss = self.replay_loss(self.replayed[0])
        reference = torch.autograd.grad(loss, self.weights, materialize_grads=True)
        product, square = _dot(gradients, reference), _dot(reference, reference)
        factor = product.clamp(max=0) / (square + SMALLEST)
        torch._foreach_sub_(gradients, torch._foreach_mul(reference, factor))
        return {"replay": loss.detach()}


def _dot(one: list[Tensor] | tuple[Tensor, ...], other: tuple[Tensor, ...]) -> Tensor:
    return torch.stack([a.flatten().dot(b.flatten()) for a, b in zip(one, other, strict=True)]).sum()

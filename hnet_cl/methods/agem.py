"""Averaged gradient episodic memory: no step that raises the loss on stored examples."""

import torch
from torch import Tensor

from hnet_cl.methods.parts.buffer_replay import BufferReplay

SMALLEST = 1e-7  # added to the squared length of the reference gradient (three-scenarios code)


class AGEM(BufferReplay):
    """A classifier whose gradient g is projected (Chaudhry et al., ICLR 2019, Eq. 11).

    With r the gradient of the loss on a batch of stored examples, g becomes g - (g.r / r.r) r where g.r < 0. All
    weights are one vector.
    """

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if not self.replayed:
            return {}
        loss, reference = self._reference(gradients)
        product, square = _dot(gradients, reference), _dot(reference, reference)
        factor = product.clamp(max=0) / (square + SMALLEST)
        torch._foreach_sub_(gradients, torch._foreach_mul(reference, factor))
        return {"replay": loss.detach()}

    def _reference(self, gradients: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Computes loss and gradient on the replayed batch; `gradients` are those of the weights again afterwards."""
        for weight in self.weights:
            weight.grad = None
        loss = self.replay_loss(self.replayed[0])
        loss.backward()  # not torch.autograd.grad, which reentrant checkpointing does not allow
        found = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in self.weights]
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        return loss, found


def _dot(one: list[Tensor], other: list[Tensor]) -> Tensor:
    return torch.stack([a.flatten().dot(b.flatten()) for a, b in zip(one, other, strict=True)]).sum()

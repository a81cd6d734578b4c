"""Gradients of bounded norm (Pascanu, Mikolov & Bengio, ICML 2013)."""

from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer


def clipping(kind: type[Optimizer], norm: float) -> type[Optimizer]:
    """Returns the optimiser whose steps see the gradients of all its parameters scaled down to an L2 norm of `norm`.

    The gradients themselves stay as they are. So the candidate step of a lookahead, which a twin of the same class
    makes with the task's gradients, is the step with these clipped, and the step that is made is the one with the sum
    of the task's and the regulariser's gradients clipped.
    """
    parent: Any = kind

    class Clipping(parent):
        @torch.no_grad()
        def step(self, closure: None = None) -> None:
            held = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
            whole = [p.grad for p in held]
            for parameter in held:
                parameter.grad = parameter.grad.clone()
            clip_grad_norm_(held, norm)
            super().step(closure)
            for parameter, gradient in zip(held, whole, strict=True):
                parameter.grad = gradient

    return Clipping

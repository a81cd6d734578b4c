"""Gradient clipping by norm (Pascanu, Mikolov & Bengio, ICML 2013)."""

from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer


def clipping(kind: type[Optimizer], norm: float) -> type[Optimizer]:
    """Returns a subclass of the optimiser `kind` whose steps clip the L2 norm of all gradients together to `norm`.

    The gradients are restored after the step. So a lookahead's candidate step, made by a twin of the same class with
    the gradients of the task's loss, clips these, and the actual step clips the sum of the gradients of the task's
    loss and of the regulariser.
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

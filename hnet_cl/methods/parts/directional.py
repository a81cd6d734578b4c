"""Derivatives of many numbers in a few directions. A part of methods."""

from collections.abc import Iterable

import torch
from torch import Tensor


@torch.enable_grad()
def derivatives(value: Tensor, point: Tensor, directions: Iterable[Tensor]) -> Tensor:
    """Computes the derivatives (S, *value.shape) of `value` in S directions, each of the shape of `point`.

    The gradient g of sum(u * value) with respect to `point` is linear in u, so that the gradient of sum(g * direction)
    with respect to u is the derivative of `value` in that direction: one backward pass and another one per direction,
    however many numbers `value` holds. (torch's forward mode does the same, and takes seconds to import.)

    Args:
        value: computed from `point` while gradients were enabled.
        point: a tensor that requires gradients.
        directions: changes of `point`.
    """
    u = torch.zeros_like(value, requires_grad=True)
    (gradient,) = torch.autograd.grad((u * value).sum(), point, create_graph=True)
    found = [torch.autograd.grad((gradient * one).sum(), u, retain_graph=True)[0] for one in directions]
    return torch.stack(found)

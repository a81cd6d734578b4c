"""Distillation: a network learns what its former self says. A part of methods that replay."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

NewHeads = Literal["zero_logit", "zero_probability"]


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 times the mean cross-entropy of the softmax of logits (..., C) / T, teacher against student.

    Logits of -inf are outputs that take no part; the teacher must have none where the student has not. The factor
    T^2 keeps the gradient's size independent of the temperature (Hinton, Vinyals & Dean 2015).
    """
    p = (teacher / temperature).softmax(-1)
    log_q = (student / temperature).log_softmax(-1)
    return -(p * log_q.clamp(min=-1e30)).sum(-1).mean() * temperature**2


def only(logits: Tensor, outputs: Tensor) -> Tensor:
    """Logits with -inf where the mask `outputs` is false; the two are broadcast."""
    return torch.where(outputs, logits, -torch.inf)


def extend(logits: Tensor, outputs: Tensor, wanted: Tensor, new_heads: NewHeads) -> Tensor:
    """Logits of a teacher that has `outputs` for a student that has `wanted` (masks): what it says of new heads.

    `zero_logit`: 0, so that they get some probability (official hypernetwork code). `zero_probability`: none of it
    (three-scenarios code).
    """
    if new_heads == "zero_probability":
        return only(logits, outputs)
    return only(torch.where(outputs, logits, 0.0), wanted)


def masks(slices: Sequence[slice], number: int, device: torch.device) -> Tensor:
    """Slices of `number` outputs as a mask, one row for each."""
    found = torch.zeros(len(slices), number, dtype=torch.bool)
    for row, part in zip(found, slices, strict=True):
        row[part] = True
    return found.to(device)

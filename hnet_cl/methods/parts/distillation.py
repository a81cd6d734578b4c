"""Distillation from an earlier copy of the network. A part of replay methods."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

NewHeads = Literal["zero_logit", "zero_probability"]


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Computes T^2 times the mean cross-entropy of the student's softmax of logits (..., C) / T to the teacher's.

    Logits of -inf stand for absent outputs; an output that the student lacks must be absent in the teacher too. The
    factor T^2 keeps the size of the gradient independent of the temperature T (Hinton, Vinyals & Dean 2015).
    """
    p = (teacher / temperature).softmax(-1)
    log_q = (student / temperature).log_softmax(-1)
    return -(p * log_q.clamp(min=-1e30)).sum(-1).mean() * temperature**2


def only(logits: Tensor, outputs: Tensor) -> Tensor:
    """Returns logits with -inf where the mask `outputs` is false; the two are broadcast."""
    return torch.where(outputs, logits, -torch.inf)


def extend(logits: Tensor, outputs: Tensor, wanted: Tensor, new_heads: NewHeads) -> Tensor:
    """Extends a teacher's logits to the outputs of the student.

    Args:
        logits: the teacher's (..., C).
        outputs: mask of the outputs that the teacher was trained with.
        wanted: mask of the student's outputs.
        new_heads: the teacher's output for those in `wanted` alone. `zero_logit`: a logit of 0, so that they get some
            probability (official hypernetwork code). `zero_probability`: -inf (three-scenarios code).
    """
    if new_heads == "zero_probability":
        return only(logits, outputs)
    return only(torch.where(outputs, logits, 0.0), wanted)


def masks(slices: Sequence[slice], number: int, device: torch.device) -> Tensor:
    """Returns slices of `number` outputs as a boolean mask (len(slices), number), one row for each slice."""
    found = torch.zeros(len(slices), number, dtype=torch.bool)
    for row, part in zip(found, slices, strict=True):
        row[part] = True
    return found.to(device)

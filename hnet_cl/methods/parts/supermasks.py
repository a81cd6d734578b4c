"""Masks of weights, one for each task, that are found by training a score for each weight. A part of methods.

Ramanujan et al., What's hidden in a randomly weighted neural network?, CVPR 2020 (edge-popup).
"""

from collections.abc import Sequence
from math import ceil, prod

import torch
from torch import Generator, Size, Tensor, nn

BITS = 8  # of a byte


class Supermasks(nn.Module):
    """The scores of several weight tensors, and the masks that tasks have kept of them, as bits.

    A task that has kept none yet sees all weights.

    Args:
        shapes: of the weight tensors.
        tasks: the number of tasks.
        kept: share of the weights of each tensor that a mask lets through, those with the largest absolute scores; None
            for all whose score is not negative.
    """

    bits: Tensor

    def __init__(self, shapes: Sequence[Size], tasks: int, kept: float | None) -> None:
        super().__init__()
        self.kept = kept
        self.sizes = [prod(shape) for shape in shapes]
        self.scores = nn.ParameterList(nn.Parameter(torch.zeros(shape)) for shape in shapes)
        self.register_buffer("bits", torch.full((tasks, ceil(sum(self.sizes) / BITS)), 255, dtype=torch.uint8))

    @torch.no_grad()
    def draw(self, rng: Generator) -> None:
        """Draws the scores anew, uniformly within 1 / sqrt(fan-in) of zero, as torch draws weights (Kaiming)."""
        for score in self.scores:
            drawn = 2 * torch.rand(score.shape, generator=rng, device="cpu") - 1
            score.copy_(drawn / prod(score.shape[1:]) ** 0.5)

    def trained(self) -> list[Tensor]:
        """Computes the masks of the scores as they are, of zeros and ones, through which gradients reach the scores.

        The gradient of a mask is that of what it is made from: the score, or its absolute value (straight-through).
        """
        sources = [score if self.kept is None else score.abs() for score in self.scores]
        return [mask + (source - source.detach()) for mask, source in zip(self.chosen(), sources, strict=True)]

    @torch.no_grad()
    def chosen(self) -> list[Tensor]:
        """Computes the masks of the scores as they are, booleans of the weights' shapes."""
        if self.kept is None:
            return [score >= 0 for score in self.scores]
        found = []
        for score in self.scores:
            number = max(1, round(self.kept * score.numel()))
            best = score.abs().flatten().topk(number, sorted=False).indices  # in order, they take three times as long
            found.append(torch.zeros_like(score, dtype=torch.bool).flatten().index_fill(0, best, True).view_as(score))
        return found

    def keep(self, task: int) -> None:
        """Stores the masks of the scores as they are for a task."""
        self.bits[task] = packed(torch.cat([self.bits.new_zeros(0).bool(), *map(torch.flatten, self.chosen())]))

    def of(self, task: int) -> list[Tensor]:
        """Returns the masks that a task has kept, booleans of the weights' shapes."""
        parts = unpacked(self.bits[task], sum(self.sizes)).split(self.sizes)
        return [part.view_as(score) for part, score in zip(parts, self.scores, strict=True)]

    @property
    def score_bytes(self) -> int:
        """Returns the bytes of the scores."""
        return sum(score.nbytes for score in self.scores)


def packed(mask: Tensor) -> Tensor:
    """Packs booleans (n,) into bytes (n / 8 rounded up,), the first into the lowest bit; what is left over is 0."""
    filled = torch.cat([mask, mask.new_zeros(-len(mask) % BITS)]).view(-1, BITS)
    return (filled * _places(mask)).sum(1, dtype=torch.uint8)


def unpacked(bits: Tensor, number: int) -> Tensor:
    """Unpacks the first `number` booleans of bytes."""
    return (bits[:, None] & _places(bits)).ne(0).flatten()[:number]


def _places(like: Tensor) -> Tensor:
    return 2 ** torch.arange(BITS, dtype=torch.uint8, device=like.device)

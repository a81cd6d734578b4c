"""Where the blocks that a hypernetwork generates lie in the flat vector of weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hnet_cl.hypernet.target import Interval
from hnet_cl.hypernet.tiled_matmul import tiled_matmul, tiled_matmul_t


@dataclass(frozen=True)
class Chunks:
    """A flat vector of N numbers in pieces, each of which is cut into chunks.

    Every chunk has a block of `size` numbers, of which the last one of a piece may use the first few alone.

    Attributes:
        pieces: how many numbers each piece has, in order: the tensors, where no chunk may lie in two of them, or else
            one piece of N.
        size: S, the numbers in a block.
    """

    pieces: tuple[int, ...]
    size: int

    @property
    def counts(self) -> list[int]:
        """Returns the number of chunks of each piece."""
        return [-(-piece // self.size) for piece in self.pieces]

    @property
    def number(self) -> int:
        """Returns K, the number of chunks of all pieces together."""
        return sum(self.counts)

    @property
    def cuts(self) -> list[int]:
        """Returns how many numbers each block has that is not used whole."""
        return [piece % self.size for piece in self.pieces if piece % self.size]

    def in_blocks(self, intervals: Sequence[Interval]) -> list[Interval]:
        """Converts sorted, disjoint intervals of the flat vector to intervals of the K S numbers of all blocks."""
        found, start, block = [], 0, 0
        for piece, count in zip(self.pieces, self.counts, strict=True):
            shift = block * self.size - start
            inside = ((max(low, start), min(high, start + piece)) for low, high in intervals)
            found += [(low + shift, high + shift) for low, high in inside if low < high]
            start, block = start + piece, block + count
        return found

    def joined(self, blocks: Tensor) -> Tensor:
        """Joins the blocks (B, K, S) to flat vectors (B, N) without what the pieces' last blocks do not use."""
        return torch.cat(self._used(blocks), dim=1)

    def separated(self, flat: Tensor) -> Tensor:
        """Cuts flat vectors (B, N) into blocks (B, K, S), with zeros where they are not used."""
        blocks = flat.new_zeros(len(flat), self.number, self.size)
        torch._foreach_copy_(self._used(blocks), list(flat.split(self.pieces, dim=1)))
        return blocks

    def _used(self, blocks: Tensor) -> list[Tensor]:
        """Returns for each piece a view of its numbers in the contiguous blocks (B, K, S)."""
        of_pieces = blocks.split(self.counts, dim=1)
        return [part.flatten(1)[:, :piece] for part, piece in zip(of_pieces, self.pieces, strict=True)]


class Blocks(torch.autograd.Function):
    """The product features @ head, its blocks concatenated and truncated to N weights.

    Autograd would copy the gradient in order to pad the last block's surplus with zeros, which takes longer than all
    of the products; here the last block is treated separately instead.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, head: Tensor, total: int) -> Tensor:
        ctx.save_for_backward(features, head)
        blocks = tiled_matmul(features.flatten(0, 1), head)  # (B * K, S)
        return blocks.view(len(features), -1)[:, :total]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, head = ctx.saved_tensors
        size = head.shape[1]
        whole = grad.shape[1] // size
        blocks = grad[:, : whole * size].reshape(-1, size)  # (B * whole, S)
        rest = grad[:, whole * size :]  # (B, used columns of the last block)
        grad_head = tiled_matmul(features[:, :whole].flatten(0, 1).T, blocks)
        grad_features = torch.empty_like(features)
        grad_features[:, :whole] = tiled_matmul_t(blocks, head).view_as(features[:, :whole])
        if used := rest.shape[1]:
            grad_head[:, :used].addmm_(features[:, whole].T, rest)
            grad_features[:, whole] = tiled_matmul_t(rest, head[:, :used])
        return grad_features, grad_head, None


class AlignedBlocks(torch.autograd.Function):
    """The product features @ head and an offset of each chunk, with no chunk in two pieces.

    `offsets` (K,) are multiples of the last feature, which is the same whatever is generated. Both are constants.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, head: Tensor, offsets: Tensor, chunks: Chunks) -> Tensor:
        ctx.save_for_backward(features, head)
        ctx.chunks = chunks
        blocks = tiled_matmul(features.flatten(0, 1), head).view(len(features), chunks.number, chunks.size)
        return chunks.joined(blocks.add_((features[..., -1] * offsets)[..., None]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, head = ctx.saved_tensors
        blocks = ctx.chunks.separated(grad).flatten(0, 1)  # (B * K, S)
        grad_head = tiled_matmul(features.flatten(0, 1).T, blocks)
        return tiled_matmul_t(blocks, head).view_as(features), grad_head, None, None

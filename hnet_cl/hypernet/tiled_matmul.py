"""Products of matrices with few but very long rows, cut into tiles that fit in a CPU's cache."""

import torch
from torch import Tensor

PIECE = 4096
WIDTH = 8192


def tiled_matmul(left: Tensor, right: Tensor) -> Tensor:
    """Computes left @ right for row-major matrices: (a, b), (b, S) -> (a, S).

    Libraries for CPUs read all of a long `right` once for every few rows of the result; when it is cut along S, each
    piece stays in the cache meanwhile.
    """
    length = right.shape[1]
    if length < 2 * WIDTH or right.device.type != "cpu":
        return left @ right
    product = right.new_empty(len(left), length)
    for start in range(0, length, WIDTH):
        columns = slice(start, start + WIDTH)
        torch.mm(left, right[:, columns], out=product[:, columns])
    return product


def tiled_matmul_t(left: Tensor, right: Tensor) -> Tensor:
    """Computes left @ right.T for row-major matrices: (a, S), (b, S) -> (a, b).

    Libraries for CPUs parallelise such a product over the rows and columns of the result, of which there are few; cut
    along S it takes half the time. Libraries for GPUs cut it themselves.
    """
    length = left.shape[1]
    pieces = length // PIECE
    if pieces < 2 or left.device.type != "cpu":
        return left @ right.T
    size = length // pieces
    whole = pieces * size
    cut = [rows[:, :whole].view(len(rows), pieces, size) for rows in (left, right)]
    total = torch.bmm(cut[0].transpose(0, 1), cut[1].permute(1, 2, 0)).sum(0)
    return total if whole == length else total.addmm_(left[:, whole:], right[:, whole:].T)

"""Products with a few very long rows, cut into pieces that stay in a processor's cache."""

import torch
from torch import Tensor

PIECE = 4096
WIDTH = 8192


def product_with_rows(left: Tensor, right: Tensor) -> Tensor:
    """left @ right for rows along memory: (a, b), (b, C) -> (a, C).

    Libraries for CPUs go through all of a long `right` once for every few rows of the result; cut along C, a piece of
    it stays in the cache meanwhile.
    """
    length = right.shape[1]
    if length < 2 * WIDTH or right.device.type != "cpu":
        return left @ right
    product = right.new_empty(len(left), length)
    for start in range(0, length, WIDTH):
        columns = slice(start, start + WIDTH)
        torch.mm(left, right[:, columns], out=product[:, columns])
    return product


def products_of_rows(left: Tensor, right: Tensor) -> Tensor:
    """left @ right.T for rows along memory: (a, C), (b, C) -> (a, b).

    Libraries for CPUs share such a product out by rows and columns of the result, of which there are few; cut along C
    it takes half the time. GPUs cut it by themselves.
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

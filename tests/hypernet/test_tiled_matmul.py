"""Products of long rows against the plain product."""

import pytest
import torch

from hnet_cl.hypernet.tiled_matmul import PIECE, WIDTH, tiled_matmul, tiled_matmul_t


@pytest.mark.parametrize("length", [1, PIECE, 2 * PIECE, 3 * PIECE + 1, 5 * PIECE - 1])
@pytest.mark.parametrize("columns", [slice(None), slice(3, -5)])
def test_tiled_matmul_t(length: int, columns: slice) -> None:
    left, right = torch.randn(3, length + 8).double()[:, columns], torch.randn(4, length + 8).double()[:, columns]
    torch.testing.assert_close(tiled_matmul_t(left, right), left @ right.T, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("length", [1, 2 * WIDTH - 1, 2 * WIDTH, 3 * WIDTH + 1])
@pytest.mark.parametrize("columns", [slice(None), slice(3, -5)])
def test_tiled_matmul(length: int, columns: slice) -> None:
    left, right = torch.randn(3, 4).double(), torch.randn(4, length + 8).double()[:, columns]
    torch.testing.assert_close(tiled_matmul(left, right), left @ right, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(tiled_matmul(right[:, :3].T, right), right[:, :3].T @ right)

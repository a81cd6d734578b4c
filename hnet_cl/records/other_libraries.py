"""Forgetting and backward transfer as other libraries define them, for comparisons with their tables.

Their words mean other things than in the papers that `hnet_cl.records.metrics` follows. Read in the code of Avalanche
eb075be, Mammoth e75a491 and LibContinual a399ed4. R[i][j] is the accuracy on task
j after learning task i, T the number of finished tasks, both counted from 0; None with fewer than two tasks.
"""

from collections.abc import Callable, Mapping
from statistics import fmean

from hnet_cl.records.metrics import Matrix, bwt, seen


def avalanche_forgetting(matrix: Matrix) -> float | None:
    """Computes mean_{j<T-1} (R[j][j] - R[T-1][j]), so that forgetting is minus BWT (Avalanche)."""
    transfer = bwt(matrix)
    return None if transfer is None else -transfer


def mammoth_forgetting(matrix: Matrix) -> float | None:
    """Computes mean_{j<T-1} (max_i R[i][j] - R[T-1][j]) over all rows, the last one too: never negative (Mammoth)."""
    rows = seen(matrix)
    if len(rows) < 2:
        return None
    last = rows[-1]
    return fmean(max(row[j] for row in rows[j:]) - last[j] for j in range(len(rows) - 1))


def libcontinual_forgetting(matrix: Matrix) -> float | None:
    """Computes sum_{j<T-2} (R[j][j] - R[T-1][j]) / (T-1), without the task before the last (LibContinual)."""
    rows = seen(matrix)
    if len(rows) < 2:
        return None
    return sum(rows[j][j] - rows[-1][j] for j in range(len(rows) - 2)) / (len(rows) - 1)


def libcontinual_bwt(matrix: Matrix) -> float | None:
    """Computes sum_{i>=2, j<=i-2} (R[i][j] - R[j][j]) / (T(T-1)/2): fewer terms than its divisor (LibContinual)."""
    rows = seen(matrix)
    number = len(rows)
    if number < 2:
        return None
    return sum(rows[i][j] - rows[j][j] for i in range(2, number) for j in range(i - 1)) / (number * (number - 1) / 2)


LIBRARIES: Mapping[str, tuple[Callable[[Matrix], float | None], Callable[[Matrix], float | None]]] = {
    "Avalanche": (avalanche_forgetting, bwt),
    "LibContinual": (libcontinual_forgetting, libcontinual_bwt),
    "Mammoth": (mammoth_forgetting, bwt),
}

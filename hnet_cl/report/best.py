"""Which cells of a table are the best of their column, within the error of the best."""

from collections.abc import Sequence

from hnet_cl.records.metrics_table import METRICS
from hnet_cl.report.estimate import Estimate
from hnet_cl.report.grouping import Row
from hnet_cl.report.methods import BOUNDS


def best(rows: Sequence[Row], cells: Sequence[Estimate | None], quantity: str) -> list[bool]:
    """Tells of each cell of a column whether its mean is the best one or within one standard error of it.

    The bounds are no rivals, so they do not count; nor does a column of a single row, or of what is better neither
    higher nor lower, as numbers that are no metrics.

    Args:
        rows: the rows of the table.
        cells: the cells of the column, one for each row.
        quantity: name of what the column shows.
    """
    better = METRICS[quantity].better if quantity in METRICS else None
    sign = -1 if better == "lower" else 1
    rivals = [
        None if found is None or _bound(row) else (sign * found.mean, found.sem or 0.0)
        for row, found in zip(rows, cells, strict=True)
    ]
    measured = [rival for rival in rivals if rival is not None]
    if better is None or len(measured) < 2:
        return [False] * len(rivals)
    mean, sem = max(measured)
    return [rival is not None and rival[0] >= mean - sem for rival in rivals]


def _bound(row: Row) -> bool:
    return any(run.result.method in BOUNDS for runs in row.cells.values() for run in runs)

"""The figure of scores over a setting: how sensitive a method is to it, or what a hypernetwork of each size reaches."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hnet_cl.core.scores import Score
from hnet_cl.report.drawing import PANEL_WIDTH, panels, scale_scores, wrapped
from hnet_cl.report.estimate import estimate
from hnet_cl.report.forms import FORM, Form
from hnet_cl.report.grouping import Row, Section, Values
from hnet_cl.report.looks import BLUE, INK
from hnet_cl.report.runs import Run

LOGARITHMIC_FROM = 10  # ratio of the largest to the smallest value
MOST_TICKS = 10


def sensitivity_figure(section: Section, score: Score, form: Form = FORM) -> Figure | None:
    """Draws the mean score right after learning and after the last task over the one key that makes the rows.

    None unless the rows are made by one key whose values are different numbers, and by nothing else. A point is the
    mean over seeds, with its standard error. The axis is logarithmic if the largest value is ten times the smallest.
    """
    rows = {number: row for row in section.rows if (number := _number(row)) is not None}
    if len(section.row_keys) != 1 or len(rows) != len(section.rows) or len(rows) < 2:
        return None
    rows = dict(sorted(rows.items()))
    figure, grid = panels((1, len(section.columns)), (PANEL_WIDTH, 2.4), form, above=0.8)
    for column, axes in zip(section.columns, grid[0], strict=True):
        for name, metric, style in (
            ("right after learning", score.during, {"color": INK, "linestyle": "--", "marker": "o", "mfc": "none"}),
            ("after the last task", score.main, {"color": BLUE, "linestyle": "-", "marker": "o"}),
        ):
            _curve(axes, _points(rows, column, metric), style | {"label": name, "markersize": 4 * form.text})
        _finish(axes, section.column_title(column), score, list(rows))
        axes.set_xlabel(wrapped(section.row_keys[0]))
    grid[0][0].set_ylabel(f"mean {score.title}")
    grid[0][-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)
    return figure


def _number(row: Row) -> float | None:
    """Returns the value that makes a row; None if it is no finite number, or settings tell the row apart, too."""
    try:
        value = float(row.values[0])
    except ValueError:
        return None
    return value if math.isfinite(value) and not row.settings else None


def _points(rows: Mapping[float, Row], column: Values, metric: str) -> list[tuple[float, Sequence[float]]]:
    def values(runs: Sequence[Run]) -> list[float]:
        return [run.metrics[metric] for run in runs if metric in run.metrics]

    found = ((number, values(row.cells.get(column, ()))) for number, row in rows.items())
    return [(number, measured) for number, measured in found if measured]


def _curve(axes: Axes, points: Sequence[tuple[float, Sequence[float]]], style: Mapping[str, Any]) -> None:
    means = [estimate(values) for _, values in points]
    errors = [point.sem or 0.0 for point in means]
    axes.errorbar([number for number, _ in points], [point.mean for point in means], yerr=errors, **style)


def _finish(axes: Axes, title: str, score: Score, numbers: Sequence[float]) -> None:
    if not axes.has_data():
        axes.set_axis_off()
        return
    axes.set_title(title, loc="left")
    if numbers[0] > 0 and numbers[-1] >= LOGARITHMIC_FROM * numbers[0]:
        axes.set_xscale("log")
    if len(numbers) <= MOST_TICKS:
        axes.xaxis.set_major_locator(FixedLocator(numbers))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    scale_scores(axes, score)

"""The figure of certified scores beside measured ones, on old tasks."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hnet_cl.core.scores import Score
from hnet_cl.records.metrics import Matrix
from hnet_cl.report.drawing import PANEL_WIDTH, count_tasks, draw_means, line_styles, name_curves, panels, scale_scores
from hnet_cl.report.estimate import estimate
from hnet_cl.report.forms import FORM, Form
from hnet_cl.report.grouping import Section
from hnet_cl.report.looks import TOGETHER, looks
from hnet_cl.report.runs import Run

CERTIFIED = {"linestyle": ":", "markerfacecolor": "white"}


def certified_figure(section: Section, score: Score, form: Form = FORM) -> Figure | None:
    """Draws the mean certified score on old tasks, dotted, below the measured one; None if no run has two such rows.

    A point is the mean over seeds after a task, with a band of standard error: the measured one of what the network
    answers, the certified one of the answers that are right for all weights in a task's box.
    """
    rows = [row for row in section.rows if any(_proved(runs) for runs in row.cells.values())][:TOGETHER]
    if not rows:
        return None
    figure, grid = panels((1, len(section.columns)), (PANEL_WIDTH, 2.4), form, above=0.8)
    styles = line_styles(looks(rows), form)
    for column, axes in zip(section.columns, grid[0], strict=True):
        for row, style in zip(rows, styles, strict=True):
            runs = _proved(row.cells.get(column, ()))
            _curve(axes, [run.result.scores for run in runs], style)
            _curve(axes, [run.result.certified_matrix for run in runs], style | CERTIFIED)
        count_tasks(axes, section.column_title(column))
        scale_scores(axes, score)
    titles = [title for row in rows for title in (row.title, f"{row.title}, certified")]
    name_curves(grid[0], titles, [look for style in styles for look in (style, style | CERTIFIED)])
    grid[0][0].set_ylabel(f"mean {score.title} on old tasks")
    return figure


def _proved(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if len(run.result.certified_matrix) > 1]


def _curve(axes: Axes, matrices: Sequence[Matrix], style: dict[str, Any]) -> None:
    if not matrices:
        return
    after = range(1, min(len(matrix) for matrix in matrices))
    points = [estimate([fmean(s for s in m[n][:n] if s is not None) for m in matrices]) for n in after]
    draw_means(axes, [n + 1 for n in after], points, style)

"""The figure of the stability gap: scores on old tasks while the next one is learned."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hnet_cl.core.scores import Score
from hnet_cl.report.drawing import PANEL_WIDTH, line_styles, name_curves, panels, scale_scores
from hnet_cl.report.estimate import Estimate, estimate
from hnet_cl.report.forms import FORM, Form
from hnet_cl.report.grouping import Section
from hnet_cl.report.looks import TOGETHER, looks
from hnet_cl.report.runs import Run

WINDOW_ENDS, TASK_ENDS = 0.7, 0.9  # on the axis, in tasks after the start of a task
TASKS_IN_A_PANEL = 6  # of the usual width; with more it is wider
MARKERS_UP_TO = 6  # in a window
TO_THE_END = {"linestyle": ":", "markevery": [1], "markerfacecolor": "white"}
LEAP = 0.6  # width of the line there, relative to that in a window
WIDEST = 2.5  # panels, relative to the usual width


class Place(NamedTuple):
    """A place on the axis: a task, from 0, and how much of it has passed, as a share of a task's room there."""

    task: int
    share: float


def gap_figure(section: Section, score: Score, form: Form = FORM) -> Figure | None:
    """Draws the mean score on old tasks in the window after the start of each task; None if no run has such a window.

    A segment for each task but the first leads from the scores before it through its window, with markers, and after a
    dotted leap to a hollow marker for those after it: the mean over seeds, with a band of standard error.
    """
    rows = [row for row in section.rows if any(_measured(runs) for runs in row.cells.values())]
    if not rows:
        return None
    windows = [run.result.window for row in rows for runs in row.cells.values() for run in _measured(runs)]
    longest = max(point.iteration for window in windows for point in window)
    tasks = 1 + max(point.task for window in windows for point in window)
    chunks = [rows[i : i + TOGETHER] for i in range(0, len(rows), TOGETHER)]
    width = PANEL_WIDTH * min(max(1.0, (tasks - 1) / TASKS_IN_A_PANEL), WIDEST)
    figure, grid = panels((len(chunks), len(section.columns)), (width, 2.4), form, above=0.8)
    for chunk, line_of_axes in zip(chunks, grid, strict=True):
        styles = line_styles(looks(chunk), form)
        for column, axes in zip(section.columns, line_of_axes, strict=True):
            for row, style in zip(chunk, styles, strict=True):
                _draw(axes, _measured(row.cells.get(column, ())), style, longest)
            _finish(axes, section.column_title(column), score, longest)
        name_curves(line_of_axes, [row.title for row in chunk], styles)
        line_of_axes[0].set_ylabel(f"mean {score.title} on old tasks")
    return figure


def _measured(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.result.window]


def _draw(axes: Axes, runs: Sequence[Run], style: dict[str, Any], longest: int) -> None:
    for segment in segments(runs, longest):
        x = np.array([place.task + 1 + place.share for place in segment])
        mean = np.array([point.mean for point in segment.values()])
        axes.plot(x[:-1], mean[:-1], **style | {"markevery": math.ceil((len(x) - 1) / MARKERS_UP_TO)})
        axes.plot(x[-2:], mean[-2:], **style | TO_THE_END | {"linewidth": LEAP * style["linewidth"]})
        if len(runs) > 1:
            width = np.array([point.sem for point in segment.values()])
            band = {"color": style["color"], "alpha": 0.2, "linewidth": 0}
            axes.fill_between(x[:-1], (mean - width)[:-1], (mean + width)[:-1], **band)
            axes.errorbar(x[-1], mean[-1], width[-1], fmt="none", ecolor=style["color"], elinewidth=1)


def segments(runs: Sequence[Run], longest: int) -> Iterator[Mapping[Place, Estimate]]:
    """Yields for each task but the first the mean score on old tasks before it, in its window and after it.

    Args:
        runs: repetitions; only what all of them have is drawn.
        longest: iterations in the longest window of the figure.
    """
    curves = [_curve(run, longest) for run in runs]
    shared = sorted(set.intersection(*map(set, curves))) if curves else []
    for task in dict.fromkeys(place.task for place in shared):
        own = [place for place in shared if place.task == task]
        yield {place: estimate([curve[place] for curve in curves]) for place in own}


def _curve(run: Run, longest: int) -> dict[Place, float]:
    """Returns the mean score of a run on old tasks at each place where it is known."""
    matrix = run.result.scores
    found = {}
    for task in range(1, len(matrix)):
        found[Place(task, 0.0)] = _mean(matrix[task - 1][:task])
        found[Place(task, TASK_ENDS)] = _mean(matrix[task][:task])
    for point in run.result.window:
        found[Place(point.task, WINDOW_ENDS * point.iteration / longest)] = fmean(point.scores)
    return found


def _mean(scores: Sequence[float | None]) -> float:
    return fmean(score for score in scores if score is not None)


def _finish(axes: Axes, title: str, score: Score, longest: int) -> None:
    if not axes.has_data():
        axes.set_axis_off()
        return
    axes.set_title(title, loc="left")
    axes.set_xlabel(f"task: its first {longest} iterations, then (dotted) its end")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    scale_scores(axes, score)

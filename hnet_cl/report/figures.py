"""Figures over many runs. They use only matplotlib's Figure: no pyplot, no window, no global state.

Colour is never the only cue: lines also differ in style, width and marker, bars in hatching.
"""

import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from hnet_cl.core.scores import SCORES, Score
from hnet_cl.loggers.colours import colour_bar, draw_cells, scale, write_numbers
from hnet_cl.records.metrics_table import METRICS
from hnet_cl.report.captions import names
from hnet_cl.report.certified_figure import certified_figure
from hnet_cl.report.drawing import (
    BEYOND,
    PANEL_WIDTH,
    PER_CENT,
    ROUND,
    count_tasks,
    draw_means,
    fitted,
    line_styles,
    name_curves,
    panels,
    scale_scores,
    wrapped,
    write_below,
)
from hnet_cl.report.embeddings_figure import embeddings_figure
from hnet_cl.report.estimate import Estimate, estimate
from hnet_cl.report.forms import FORM, Form
from hnet_cl.report.gap_figure import gap_figure
from hnet_cl.report.grouping import Section
from hnet_cl.report.labels import joined
from hnet_cl.report.looks import BLUE, INK, TOGETHER, VERMILION, looks
from hnet_cl.report.memory_figure import memory_figure
from hnet_cl.report.runs import Run
from hnet_cl.report.sensitivity_figure import sensitivity_figure

ASIDE = 0.1  # tasks by which neighbouring curves are shifted, so that markers do not hide each other
SPREAD = 0.6  # at most, from the first of them to the last
HEATMAPS_ABREAST = 3  # more would have titles that are too small on a page
NUMBERED_UP_TO = 6  # tasks; with more, the numbers in cells would be too small to read
TITLE_LINE = 0.14  # inches
LABEL_LINE, BETWEEN_LABELS = 0.15, 0.08  # inches
LEAST_LOSS = 0.01  # of forgetting on an axis: on a shorter one, a hundredth of a point would look like a disaster
POINTS = FuncFormatter(lambda value, _: f"{round(100 * value, 6) + 0.0:g}")


def figures(section: Section, form: Form = FORM, wanted: Sequence[str] | None = None) -> dict[str, Figure]:
    """Draws figures of a section by name: those `wanted`, by default all, that its runs have the numbers for."""
    with rc_context(form.settings):
        parts = [(score, section.of_score(score)) for score in SCORES.values()]
        made = {
            name: fitted(partial(draw, part, score), form)
            for score, part in parts
            for name, draw in zip(names(score), DRAWN, strict=True)
            if part.rows and (wanted is None or name in wanted)
        }
        drawn = {name: figure for name, figure in made.items() if figure is not None}
        for figure in drawn.values():
            write_below(figure, section.remarks, form)
    return drawn


def curve_figure(section: Section, score: Score, form: Form = FORM) -> Figure:
    """Draws the mean score over the tasks so far after each task: mean over seeds, with a band of standard error."""
    chunks = [section.rows[i : i + TOGETHER] for i in range(0, len(section.rows), TOGETHER)]
    figure, grid = panels((len(chunks), len(section.columns)), (PANEL_WIDTH, 2.4), form, above=0.8)
    for chunk, line_of_axes in zip(chunks, grid, strict=True):
        styles = line_styles(looks(chunk), form)
        for column, axes in zip(section.columns, line_of_axes, strict=True):
            for number, row in enumerate(chunk):
                _curve(axes, row.cells.get(column, ()), styles[number], (number, len(chunk)))
            count_tasks(axes, section.column_title(column))
            scale_scores(axes, score)
        name_curves(line_of_axes, [row.title for row in chunk], styles)
        line_of_axes[0].set_ylabel(f"mean {score.title} so far")
    return figure


def _curve(axes: Axes, runs: Sequence[Run], style: dict[str, Any], place: tuple[int, int]) -> None:
    """Draws the curve of a row; `place` is its number, from 0, and the number of all curves."""
    if not runs:
        return
    matrices = [run.result.scores for run in runs]
    tasks = min(len(matrix) for matrix in matrices)
    points = [estimate([_mean_so_far(matrix[n], n) for matrix in matrices]) for n in range(tasks)]
    number, all_curves = place
    aside = min(ASIDE, SPREAD / all_curves) * (number - (all_curves - 1) / 2)
    draw_means(axes, [task + 1 + aside for task in range(tasks)], points, style, number)


def _mean_so_far(row: Sequence[float | None], task: int) -> float:
    return fmean(value for value in row[: task + 1] if value is not None)


def during_final_figure(section: Section, score: Score, form: Form = FORM) -> Figure:
    """Draws the mean score right after learning each task and that after the last task, side by side."""
    figure, grid, places = _bar_panels(section, 0.42, form)
    for column, axes in zip(section.columns, grid, strict=True):
        for name, offset, look in (
            ("during", 0.2, {"facecolor": "none", "edgecolor": BLUE, "hatch": "////"}),
            ("final", -0.2, {"facecolor": BLUE, "edgecolor": BLUE}),
        ):
            metric = score.main if name == "final" else score.during
            points = [_estimate(row.cells.get(column, ()), metric) for row in section.rows]
            _bars(axes, [place + offset for place in places], points, {"label": name, "height": 0.36, **look})
        _mark_majority(axes, [run for row in section.rows for run in row.cells.get(column, ())])
        axes.set_xlabel(f"mean {score.title}")
        if score.higher_is_better:
            axes.set_xlim(0, 1 + BEYOND)
            axes.xaxis.set_major_formatter(PER_CENT)
    grid[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)
    return figure


def _mark_majority(axes: Axes, runs: Sequence[Run]) -> None:
    shares = {round(run.metrics["majority"], 6) for run in runs if "majority" in run.metrics}
    if len(shares) == 1:
        axes.axvline(shares.pop(), color=INK, linestyle=":", linewidth=1, label="majority class")


def loss_figure(section: Section, score: Score, form: Form = FORM) -> Figure | None:
    """Draws the forgetting of each row, in percentage points, or the growth of errors; None if no run has it."""
    if not any(score.loss in run.metrics for row in section.rows for runs in row.cells.values() for run in runs):
        return None
    figure, grid, places = _bar_panels(section, 0.28, form)
    for column, axes in zip(section.columns, grid, strict=True):
        look = {"height": 0.6, "facecolor": VERMILION, "edgecolor": VERMILION}
        _bars(axes, places, [_estimate(row.cells.get(column, ()), score.loss) for row in section.rows], look)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(METRICS[score.loss].with_unit)
        if score.higher_is_better:
            axes.xaxis.set_major_formatter(POINTS)
            low, high = axes.get_xlim()
            missing = max(0.0, LEAST_LOSS - (high - low))
            axes.set_xlim((low, high + missing) if high >= -low else (low - missing, high))
    return figure


def _bar_panels(section: Section, height: float, form: Form) -> tuple[Figure, Sequence[Axes], Sequence[float]]:
    """Makes a panel for each column, with a line for each row, from top to bottom; returns the places of the lines.

    A line is `height` inches high, which is 1 on the axis, or as high as the lines of its label.
    """
    labels = [wrapped(row.title) for row in section.rows]
    needed = [BETWEEN_LABELS + LABEL_LINE * (label.count("\n") + 1) for label in labels]
    heights = [max(1.0, inches * math.sqrt(form.text) / height) for inches in needed]  # see `panels`
    total = sum(heights)
    places = [total - 0.5 - sum(heights[:number]) - own / 2 for number, own in enumerate(heights)]
    figure, grid = panels((1, len(section.columns)), (PANEL_WIDTH, 0.8 + height * total), form)
    for column, axes in zip(section.columns, grid[0], strict=True):
        axes.set_title(section.column_title(column), loc="left")
        axes.set_ylim(-0.6, total - 0.4)
        axes.yaxis.set_major_locator(FixedLocator(places[::-1]))
        axes.tick_params(axis="y", length=0, labelleft=axes is grid[0][0])
        axes.set_axisbelow(True)
        axes.grid(axis="x", color="#88888844", linewidth=0.6)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=ROUND))
    grid[0][0].set_yticklabels(labels[::-1])
    return figure, grid[0], places


def _bars(axes: Axes, places: Sequence[float], points: Sequence[Estimate | None], look: dict[str, Any]) -> None:
    """Draws horizontal bars with standard errors at some places of the vertical axis."""
    bars = [(place, point) for place, point in zip(places, points, strict=True) if point is not None]
    if bars:
        axes.barh([place for place, _ in bars], [point.mean for _, point in bars], **look)
        for place, point in bars:
            if point.sem is not None:
                axes.errorbar(point.mean, place, xerr=point.sem, fmt="none", ecolor=INK, elinewidth=1)


def _estimate(runs: Sequence[Run], metric: str) -> Estimate | None:
    values = [run.metrics[metric] for run in runs if metric in run.metrics]
    return estimate(values) if values else None


def matrix_figure(section: Section, score: Score, form: Form = FORM) -> Figure:
    """Draws a matrix of scores for each cell of the table: the mean over its seeds."""
    cells = [
        (wrapped(joined(row.title, section.column_title(column))), runs)
        for row in section.rows
        for column, runs in row.cells.items()
    ]
    abreast = min(HEATMAPS_ABREAST, len(cells))
    above = 0.45 + TITLE_LINE * max(name.count("\n") + 2 for name, _ in cells)
    figure, grid = panels((math.ceil(len(cells) / abreast), abreast), (1.9, 1.9), form, above)
    places = [axes for line in grid for axes in line]
    means = [_mean_matrix(runs) for _, runs in cells]
    norm, main = scale(score, np.concatenate([mean.ravel() for mean in means])), METRICS[score.main]
    for axes, (name, runs), mean in zip(places, cells, means, strict=False):
        image = draw_cells(axes, mean, score, norm)
        final = f"{score.shown(mean[-1].mean())} {score.unit}".rstrip()
        axes.set_title(f"{name}\n{main.title} {final}, n = {len(runs)}", loc="left", fontsize="small")
        _number_tasks(axes, len(mean))
        if len(mean) <= NUMBERED_UP_TO:
            write_numbers(axes, mean, score, norm, size=7 * form.text)
    for axes in places[len(cells) :]:
        axes.set_axis_off()
    for axes in places[len(cells) - abreast : len(cells)]:
        axes.set_xlabel(f"{score.title} on task")
    for line in grid:
        line[0].set_ylabel("after learning task")
    bar = grid[0][-1].inset_axes((1.08, 0, 0.06, 1))
    colour_bar(image, bar, score).spines[:].set_visible(False)
    return figure


DRAWN = (
    *(curve_figure, during_final_figure, loss_figure, matrix_figure),
    *(memory_figure, gap_figure, certified_figure, sensitivity_figure, embeddings_figure),
)


def _mean_matrix(runs: Sequence[Run]) -> np.ndarray:
    tasks = min(run.result.num_tasks for run in runs)
    values = np.full((len(runs), tasks, tasks), np.nan)
    for number, run in enumerate(runs):
        for i, line in enumerate(run.result.scores[:tasks]):
            values[number, i, : i + 1] = line[: i + 1]
    return values.mean(axis=0)


def _number_tasks(axes: Axes, tasks: int) -> None:
    step = next(step for step in (1, 2, 5, 10, 25, 50, tasks) if tasks / step <= 10)
    shown = [task for task in range(tasks) if step == 1 or task == 0 or (task + 1) % step == 0]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(shown))
        axis.set_ticklabels([str(task + 1) for task in shown])
    axes.tick_params(length=0, labelsize="small")
    axes.spines[:].set_visible(False)

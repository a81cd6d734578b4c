"""Figures over many runs. They use only matplotlib's Figure: no pyplot, no window, no global state.

Colour is never the only cue: lines also differ in style and marker, bars in hatching.
"""

import io
import math
import textwrap
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

from hnet_cl.core.scores import SCORES, Score
from hnet_cl.loggers.colours import colour_bar, draw_cells, scale, write_numbers
from hnet_cl.records.metrics_table import METRICS
from hnet_cl.report.captions import names
from hnet_cl.report.estimate import Estimate, estimate
from hnet_cl.report.grouping import Row, Section, Values
from hnet_cl.report.runs import Run

INK = "#111111"  # text and axes; unlike every other colour, so that a dark page can replace it
# Okabe & Ito 2008, "Color Universal Design", without the yellow that fades on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", INK)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (1, 1)))
MARKERS = "os^Dv*X"
LINES_TOGETHER = len(COLOURS)  # in a panel; if there are more, further panels are added
MARKERS_UP_TO = 12  # per line
HEATMAPS_ABREAST = 5
NUMBERED_UP_TO = 6  # tasks; with more, the numbers in cells would be too small to read
PANEL_WIDTH, GAP = 3.1, 0.6  # inches
SMALLEST_RANGE = 0.02  # of accuracies on an axis; in a smaller one, noise would look like a trend
LABEL_WIDTH = 34  # characters in a line
BELOW = 0.55  # inches below the axes, where labels end
CHARACTERS_PER_INCH = 16  # at most, of remarks
TITLE_LINE = 0.14  # inches
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.frameon": False,
    "legend.handlelength": 3.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a $ in a name does not start a formula
    "svg.hashsalt": "hnet_cl",  # the same figure gives the same file
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


def figures(section: Section) -> dict[str, Figure]:
    """Draws all figures of a section that its runs have the numbers for; returns them by name."""
    with rc_context(STYLE):
        parts = [(score, section.of_score(score)) for score in SCORES.values()]
        made = {
            name: draw(part, score)
            for score, part in parts
            for name, draw in zip(names(score), DRAWN, strict=True)
            if part.rows
        }
        drawn = {name: figure for name, figure in made.items() if figure is not None}
        for figure in drawn.values():
            _write_below(figure, section.remarks)
    return drawn


def _write_below(figure: Figure, remarks: Sequence[str]) -> None:
    """Writes remarks below all panels, wrapped to the width of the figure, but at least to that of a label."""
    width, height = figure.get_size_inches()
    characters = max(LABEL_WIDTH, int(width * CHARACTERS_PER_INCH))
    text = "\n".join(textwrap.fill(remark, characters, subsequent_indent="  ") for remark in remarks)
    figure.text(0, -BELOW / height, text, va="top", fontsize=8)


def encoded(figure: Figure, kind: str) -> bytes:
    """Encodes a figure as a file of kind "png", "svg" or "pdf"; an SVG file has no background and no metadata."""
    file = io.BytesIO()
    with rc_context(STYLE):
        if kind == "svg":
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            figure.savefig(file, format=kind, bbox_inches="tight", transparent=True, metadata=nothing)
        else:
            undated = {"CreationDate": None} if kind == "pdf" else None
            figure.savefig(file, format=kind, bbox_inches="tight", dpi=150, metadata=undated)
    return file.getvalue()


def curve_figure(section: Section, score: Score) -> Figure:
    """Draws the mean score over the tasks so far after each task: mean over seeds, with a band of standard error."""
    chunks = [section.rows[i : i + LINES_TOGETHER] for i in range(0, len(section.rows), LINES_TOGETHER)]
    figure, grid = _panels(len(chunks), len(section.columns), PANEL_WIDTH, 2.4, above=0.8)
    for chunk, line_of_axes in zip(chunks, grid, strict=True):
        for column, axes in zip(section.columns, line_of_axes, strict=True):
            for number, row in enumerate(chunk):
                _curve(axes, row.cells.get(column, ()), number)
            _finish_curves(axes, column, score)
        handles = [
            line_of_axes[0].plot([], [], label=_wrapped(row.label), **_line(number))[0]
            for number, row in enumerate(chunk)
        ]
        line_of_axes[-1].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)
        line_of_axes[0].set_ylabel(f"mean {score.title} so far")
    return figure


def _curve(axes: Axes, runs: Sequence[Run], number: int) -> None:
    if not runs:
        return
    matrices = [run.result.scores for run in runs]
    tasks = min(len(matrix) for matrix in matrices)
    points = [estimate([_mean_so_far(matrix[n], n) for matrix in matrices]) for n in range(tasks)]
    x, mean = np.arange(1, tasks + 1), np.array([point.mean for point in points])
    axes.plot(x, mean, markevery=math.ceil(tasks / MARKERS_UP_TO), **_line(number))
    if len(runs) > 1:
        width = np.array([point.sem for point in points])
        axes.fill_between(x, mean - width, mean + width, color=COLOURS[number], alpha=0.2, linewidth=0)


def _mean_so_far(row: Sequence[float | None], task: int) -> float:
    return fmean(value for value in row[: task + 1] if value is not None)


def _line(number: int) -> dict[str, Any]:
    look = {"color": COLOURS[number], "linestyle": DASHES[number], "marker": MARKERS[number]}
    return look | {"markersize": 4, "linewidth": 1.4}


def _finish_curves(axes: Axes, column: Values, score: Score) -> None:
    if not axes.has_data():
        axes.set_axis_off()
        return
    axes.set_title(", ".join(column), loc="left")
    axes.set_xlabel("tasks learned")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.set_xlim(0.7, axes.dataLim.x1 + 0.3)
    if not score.higher_is_better:
        axes.set_yscale("log")
        return
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    low, high = axes.get_ylim()
    high = min(high, 1.003)  # room for half a marker
    axes.set_ylim(min(low, high - SMALLEST_RANGE), high)


def during_final_figure(section: Section, score: Score) -> Figure:
    """Draws the mean score right after learning each task and that after the last task, side by side."""
    figure, grid = _bar_panels(section, 0.42)
    for column, axes in zip(section.columns, grid, strict=True):
        for name, offset, look in (
            ("during", 0.2, {"facecolor": "none", "edgecolor": COLOURS[0], "hatch": "////"}),
            ("final", -0.2, {"facecolor": COLOURS[0], "edgecolor": COLOURS[0]}),
        ):
            metric = score.main if name == "final" else score.during
            _bars(axes, section.rows, column, metric, {"label": name, "height": 0.36, **look}, offset)
        _mark_majority(axes, [run for row in section.rows for run in row.cells.get(column, ())])
        axes.set_xlabel(f"mean {score.title}")
        if score.higher_is_better:
            axes.set_xlim(0, 1)
            axes.xaxis.set_major_formatter(PercentFormatter(1))
    grid[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)
    return figure


def _mark_majority(axes: Axes, runs: Sequence[Run]) -> None:
    shares = {round(run.metrics["majority"], 6) for run in runs if "majority" in run.metrics}
    if len(shares) == 1:
        axes.axvline(shares.pop(), color=INK, linestyle=":", linewidth=1, label="majority class")


def loss_figure(section: Section, score: Score) -> Figure | None:
    """Draws the forgetting of each row, in percentage points, or the growth of errors; None if no run has it."""
    if not any(score.loss in run.metrics for row in section.rows for runs in row.cells.values() for run in runs):
        return None
    figure, grid = _bar_panels(section, 0.28)
    for column, axes in zip(section.columns, grid, strict=True):
        look = {"height": 0.6, "facecolor": COLOURS[1], "edgecolor": COLOURS[1]}
        _bars(axes, section.rows, column, score.loss, look)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_xlabel(METRICS[score.loss].with_unit)
        if score.higher_is_better:
            axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=None))
    return figure


def _bar_panels(section: Section, height: float) -> tuple[Figure, Sequence[Axes]]:
    """Makes a panel for each column, with a line `height` inches high for each row, from top to bottom."""
    figure, grid = _panels(1, len(section.columns), PANEL_WIDTH, 0.8 + height * len(section.rows))
    for column, axes in zip(section.columns, grid[0], strict=True):
        axes.set_title(", ".join(column), loc="left")
        axes.set_ylim(-0.6, len(section.rows) - 0.4)
        axes.yaxis.set_major_locator(FixedLocator(range(len(section.rows))))
        axes.tick_params(axis="y", length=0, labelleft=axes is grid[0][0])
        axes.set_axisbelow(True)
        axes.grid(axis="x", color="#88888844", linewidth=0.6)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    grid[0][0].set_yticklabels([_wrapped(row.label) for row in reversed(section.rows)])
    return figure, grid[0]


def _bars(
    axes: Axes, rows: Sequence[Row], column: Values, metric: str, look: dict[str, Any], offset: float = 0
) -> None:
    """Draws horizontal bars with standard errors, the first row at the top; `offset` shifts them up, in rows."""
    found = [(len(rows) - 1 - number, _estimate(row.cells.get(column, ()), metric)) for number, row in enumerate(rows)]
    bars = [(place + offset, point) for place, point in found if point is not None]
    if bars:
        places, points = zip(*bars, strict=True)
        axes.barh(places, [point.mean for point in points], **look)
        for place, point in bars:
            if point.sem is not None:
                axes.errorbar(point.mean, place, xerr=point.sem, fmt="none", ecolor=INK, elinewidth=1)


def _estimate(runs: Sequence[Run], metric: str) -> Estimate | None:
    values = [run.metrics[metric] for run in runs if metric in run.metrics]
    return estimate(values) if values else None


def matrix_figure(section: Section, score: Score) -> Figure:
    """Draws a matrix of scores for each cell of the table: the mean over its seeds."""
    cells = [
        (_wrapped(", ".join([row.label, *column])), runs) for row in section.rows for column, runs in row.cells.items()
    ]
    abreast = min(HEATMAPS_ABREAST, len(cells))
    above = 0.45 + TITLE_LINE * max(name.count("\n") + 2 for name, _ in cells)
    figure, grid = _panels(math.ceil(len(cells) / abreast), abreast, 1.9, 1.9, above)
    places = [axes for line in grid for axes in line]
    means = [_mean_matrix(runs) for _, runs in cells]
    norm, main = scale(score, np.concatenate([mean.ravel() for mean in means])), METRICS[score.main]
    for axes, (name, runs), mean in zip(places, cells, means, strict=False):
        image = draw_cells(axes, mean, score, norm)
        final = score.shown(mean[-1].mean()) + score.unit
        axes.set_title(f"{name}\n{main.title} {final}, n = {len(runs)}", loc="left", fontsize=8)
        _number_tasks(axes, len(mean))
        if len(mean) <= NUMBERED_UP_TO:
            write_numbers(axes, mean, score, norm, size=7)
    for axes in places[len(cells) :]:
        axes.set_axis_off()
    for axes in places[len(cells) - abreast : len(cells)]:
        axes.set_xlabel(f"{score.title} on task")
    for line in grid:
        line[0].set_ylabel("after learning task")
    bar = grid[0][-1].inset_axes((1.08, 0, 0.06, 1))
    colour_bar(image, bar, score).spines[:].set_visible(False)
    return figure


DRAWN = (curve_figure, during_final_figure, loss_figure, matrix_figure)


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
    axes.tick_params(length=0, labelsize=7)
    axes.spines[:].set_visible(False)


def _panels(
    lines: int, abreast: int, width: float, height: float, above: float = GAP
) -> tuple[Figure, Sequence[Sequence[Axes]]]:
    """Makes a grid of axes of `width` by `height` inches each, with `above` inches above each for its title.

    Saved files are cropped to the drawn content, so labels that reach beyond the figure are not cut off.
    """
    across, down = abreast * (width + GAP), lines * (height + above)
    figure = Figure(figsize=(across, down))
    space = {"wspace": GAP / width, "hspace": above / height}
    edges = {"left": 0, "bottom": 0, "right": 1 - GAP / across, "top": 1 - above / down}
    return figure, list(figure.subplots(lines, abreast, squeeze=False, gridspec_kw=space | edges))


def _wrapped(label: str) -> str:
    return textwrap.fill(label, LABEL_WIDTH, break_long_words=False)

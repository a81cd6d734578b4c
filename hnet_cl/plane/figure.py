"""The figure of a plane of task embeddings: accuracies in colours, a panel for each tested task, and the embeddings."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hnet_cl.core.plain_text import printable
from hnet_cl.core.scores import ACCURACY
from hnet_cl.loggers.colours import colour_bar, draw_cells, scale
from hnet_cl.plane.survey import Grid, Panel
from hnet_cl.report.drawing import ROUND, fitted, panels, wrapped, write_below
from hnet_cl.report.forms import Form
from hnet_cl.report.looks import INK, VERMILION

ABREAST = 3  # panels
SIDE = 2.4  # inches of a panel
ABOVE = 0.5  # inches for the axis of the panel above
TITLE_LINE = 0.14  # inches
NUMBERED_UP_TO = 20  # tasks; of more, only the panel's own has its number
DISC, OWN_DISC, DOT = 70, 110, 6  # sizes in square points


def plane_figure(grid: Grid, found: Sequence[Panel], remarks: Sequence[str], form: Form) -> Figure:
    """Draws the accuracies of each panel in colours, all on one scale, and the task embeddings as discs.

    Args:
        grid: the points and the embeddings.
        found: what is drawn.
        remarks: what is written below.
        form: the form of the figure.
    """
    with rc_context(form.settings):
        figure = fitted(partial(_draw, grid, found), form)
        assert figure is not None
        write_below(figure, remarks, form)
    return figure


def _draw(grid: Grid, found: Sequence[Panel], form: Form) -> Figure:
    abreast = min(ABREAST, len(found))
    titles = [f"{wrapped(printable(_title(panel)))}\n{_below_title(panel)}" for panel in found]
    above = ABOVE + TITLE_LINE * max(title.count("\n") + 1 for title in titles)
    side = SIDE, SIDE * form.stretch / math.sqrt(form.text)  # a square, also where it is stretched
    figure, rows = panels((math.ceil(len(found) / abreast), abreast), side, form, above)
    places = [axes for row in rows for axes in row]
    for axes, panel, title in zip(places, found, titles, strict=False):
        _draw_panel(axes, grid, panel, form)
        axes.set_title(title, loc="left", fontsize="small")
    for axes in places[len(found) :]:
        axes.set_axis_off()
    bar = colour_bar(places[0].images[0], rows[0][-1].inset_axes((1.08, 0, 0.06, 1)), ACCURACY)
    bar.set_ylabel("accuracy")
    bar.spines[:].set_visible(False)
    return figure


def _title(panel: Panel) -> str:
    number = f"task {panel.task + 1}"
    return number if panel.name == number else f"{number}: {panel.name}"


def _below_title(panel: Panel) -> str:
    return f"{100 * panel.at_embeddings[panel.task]:.1f} % at its own embedding"


def _draw_panel(axes: Axes, grid: Grid, panel: Panel, form: Form) -> None:
    image = draw_cells(axes, panel.accuracies, ACCURACY, scale(ACCURACY, panel.accuracies), origin="lower")
    across, up = _edges(grid.x), _edges(grid.y)
    image.set_extent((*across, *up))
    axes.set_xlim(across)
    axes.set_ylim(up)
    for number, axis in enumerate((axes.xaxis, axes.yaxis)):
        axis.set_major_locator(MaxNLocator(5, steps=ROUND))
        axis.set_label_text(grid.plane.axis_name(number))
    _draw_embeddings(axes, grid.plane.points, panel.task, form)


def _edges(along: np.ndarray) -> tuple[float, float]:
    """Returns where the cells around evenly spaced points begin and end."""
    half = (along[1] - along[0]) / 2
    return float(along[0] - half), float(along[-1] + half)


def _draw_embeddings(axes: Axes, points: np.ndarray, own: int, form: Form) -> None:
    """Draws a disc with its number for each task, that of the panel's own task larger, in a colour and on top."""
    numbered = len(points) <= NUMBERED_UP_TO
    x, y = np.delete(points, own, axis=0).T
    disc: dict[str, Any] = {"edgecolor": INK, "linewidth": 0.6 * form.text}
    axes.scatter(x, y, (DISC if numbered else DOT) * form.text**2, facecolor="white", **disc)
    axes.scatter(points[own, 0], points[own, 1], OWN_DISC * form.text**2, facecolor=VERMILION, zorder=4, **disc)
    middle: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontsize": "x-small"}
    for task, place in enumerate(points):
        if task == own:
            axes.text(place[0], place[1], str(task + 1), color="white", weight="bold", zorder=5, **middle)
        elif numbered:
            axes.text(place[0], place[1], str(task + 1), zorder=3, **middle)

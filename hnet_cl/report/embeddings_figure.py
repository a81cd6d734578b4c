"""The figure of task embeddings: those of a run in two dimensions, joined in the order in which tasks are learned."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hnet_cl.core.scores import Score
from hnet_cl.loggers.colours import COLOUR_MAP
from hnet_cl.report.drawing import ROUND, panels, wrapped
from hnet_cl.report.forms import FORM, Form
from hnet_cl.report.grouping import Section
from hnet_cl.report.labels import joined
from hnet_cl.report.looks import GREY
from hnet_cl.report.runs import Run

ABREAST = 3  # panels
SIDE = 2.4  # inches of a panel
TITLE_LINE = 0.14  # inches
BELOW = 0.5  # inches for the axis of the panel above
NUMBERED_UP_TO = 12  # tasks; of more, every tenth has its number
SIZE = 22  # of a point, in square points
AROUND = 0.1  # of the range of the points that is shown beyond them


class Plane(NamedTuple):
    """Embeddings in two dimensions.

    Attributes:
        points: (T, 2) one for each task.
        shares: (2,) of the variance that each axis has; None where the points are the embeddings themselves.
        axes: (2, E) orthonormal, along which the points are measured; a row is zero where there is no such direction.
    """

    points: np.ndarray
    shares: np.ndarray | None
    axes: np.ndarray

    def axis_name(self, number: int) -> str:
        """Returns the name of an axis, from 0."""
        if self.shares is None:
            return f"dimension {number + 1}"
        return f"PC {number + 1} ({100 * self.shares[number]:.0f} % of variance)"


def plane(embeddings: np.ndarray) -> Plane:
    """Projects embeddings (T, E) onto their two principal components; those of E = 2 are left as they are.

    The components are the first two right singular vectors of the centred embeddings (principal component analysis:
    Pearson, Philosophical Magazine 2, 1901). Their signs are arbitrary; here the largest entry of each is positive.
    """
    if embeddings.shape[1] == 2:
        return Plane(embeddings, None, np.eye(2))
    centred = embeddings - embeddings.mean(0)
    _, singular, components = np.linalg.svd(centred, full_matrices=False)
    variances = singular**2
    largest = np.abs(components).argmax(1)
    components = components * np.sign(components[np.arange(len(components)), largest])[:, None]
    axes, shares = np.zeros((2, embeddings.shape[1])), np.zeros(2)
    found = min(2, len(components))
    axes[:found] = components[:found]
    shares[:found] = variances[:found] / max(variances.sum(), np.finfo(float).tiny)
    return Plane(centred @ axes.T, shares, axes)


def embeddings_figure(section: Section, score: Score, form: Form = FORM) -> Figure | None:
    """Draws the task embeddings of one run, that with the lowest seed, for each cell of the table.

    Arrows lead from task to task. None if no run has embeddings of three tasks or more: two lie on a line whatever they
    are. Those of two dimensions are shown from two tasks on.
    """
    cells = [
        (wrapped(joined(row.title, section.column_title(column))), run, np.array(run.embeddings))
        for row in section.rows
        for column, runs in row.cells.items()
        if (run := _first_with_embeddings(runs))
    ]
    if not cells:
        return None
    abreast = min(ABREAST, len(cells))
    above = BELOW + TITLE_LINE * max(name.count("\n") + 2 for name, *_ in cells)
    figure, grid = panels((math.ceil(len(cells) / abreast), abreast), (SIDE, SIDE), form, above)
    places = [axes for line in grid for axes in line]
    norm = Normalize(1, max(len(embeddings) for *_, embeddings in cells))
    for axes, (name, run, embeddings) in zip(places, cells, strict=False):
        title = f"{name}\nseed {run.result.seed}, embedding size {embeddings.shape[1]}"
        axes.set_title(title, loc="left", fontsize="small")
        _draw(axes, plane(embeddings), norm, form)
    for axes in places[len(cells) :]:
        axes.set_axis_off()
    bar = figure.colorbar(ScalarMappable(norm, COLOUR_MAP), cax=grid[0][-1].inset_axes((1.08, 0, 0.06, 1)))
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=ROUND))
    bar.set_label("task")
    bar.ax.spines[:].set_visible(False)
    return figure


def _first_with_embeddings(runs: Sequence[Run]) -> Run | None:
    return next((run for run in runs if run.embeddings is not None and _has_a_plane(run.embeddings)), None)


def _has_a_plane(embeddings: Sequence[Sequence[float]]) -> bool:
    return len(embeddings) > 2 or (len(embeddings) == 2 and len(embeddings[0]) == 2)


def _draw(axes: Axes, found: Plane, norm: Normalize, form: Form) -> None:
    last = len(found.points)
    style = {"arrowstyle": "-|>", "color": GREY, "linewidth": 0.8 * form.text, "mutation_scale": 7 * form.text}
    arrow: dict[str, Any] = style | {"shrinkA": 2, "shrinkB": 3}
    for (x0, y0), (x, y) in pairwise(found.points):
        axes.annotate("", (x, y), xytext=(x0, y0), arrowprops=arrow)
    x, y = found.points.T
    points = axes.scatter(x, y, s=SIZE * form.text, c=range(1, last + 1), cmap=COLOUR_MAP, norm=norm)
    points.set(edgecolor="white", linewidth=0.4, zorder=3)
    beside = (3 * form.text, 3 * form.text)
    for task, place in enumerate(found.points, start=1):
        if last <= NUMBERED_UP_TO or task in (1, last) or task % 10 == 0:
            axes.annotate(
                str(task), (place[0], place[1]), beside, textcoords="offset points", fontsize="small", zorder=4
            )
    _scale(axes, found)


def _scale(axes: Axes, found: Plane) -> None:
    """Gives both axes the same scale, with room for numbers around the points, and their names."""
    low, high = found.points.min(0), found.points.max(0)
    half = (0.5 + AROUND) * (high - low).max() or 1.0
    for number, (axis, centre) in enumerate(zip((axes.xaxis, axes.yaxis), (low + high) / 2, strict=True)):
        axis.set_view_interval(centre - half, centre + half, ignore=True)
        axis.set_major_locator(MaxNLocator(5, steps=ROUND))
        axis.set_label_text(found.axis_name(number))
    axes.set_aspect("equal", adjustable="datalim")

"""Grids of axes, curves, scales, a given width and files, which all figures of a report share."""

import io
import logging
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import BboxBase

from hnet_cl.core.scores import Score
from hnet_cl.report.estimate import Estimate
from hnet_cl.report.forms import STYLE, WIDTHS, Form
from hnet_cl.report.looks import Look

GAP = 0.6  # inches between panels
KINDS = ("svg", "png", "pdf")  # of files
PNG_DPI = 300
MARGIN = 0.02  # inches around what is drawn
NARROWEST = 0.3  # of a panel's usual width; a figure with longer labels is wider than was asked for
PANEL_WIDTH = 3.1  # inches
THICKEST, THINNEST = 1.8, 0.7  # of lines, relative to the usual width: those drawn later are thinner
SMALLEST_RANGE = 0.05  # of accuracies on an axis; in a smaller one, noise would look like a trend
AROUND = 0.05  # of the range of accuracies that is shown above and below them
BEYOND = 0.04  # of the range of an axis that is shown beyond 0 and 100 %: room for half a marker
ROUND = (1, 2, 5, 10)  # steps between ticks, times powers of ten
MARKERS_UP_TO = 12  # per line
LABEL_WIDTH = 34  # characters in a line
BELOW = 0.55  # inches below the axes, where labels end
CHARACTERS_PER_INCH = 16  # at most, of remarks
PER_CENT = FuncFormatter(lambda value, _: f"{round(100 * value, 6):g} %")


def fitted(draw: Callable[[Form], Figure | None], form: Form) -> Figure | None:
    """Draws a figure in a form whose panels are stretched so that the saved figure has the form's width.

    What is beside the panels, such as labels, keeps its width; so the figure's width is linear in that of the panels.
    """
    figure = draw(form)
    if form.width is None or figure is None:
        return figure
    other = draw(replace(form, stretch=2 * form.stretch))
    assert other is not None  # what is drawn does not depend on the form
    one, two = _width(figure), _width(other)
    stretch = 1 + (WIDTHS[form.width] - one) / (two - one)
    return draw(replace(form, stretch=max(stretch, NARROWEST)))


def _width(figure: Figure) -> float:
    """Returns the width in inches of what is drawn, which is that of the saved figure but for its margin."""
    return float(figure.get_tightbbox().width)


def encodings(figure: Figure) -> dict[str, bytes]:
    """Encodes a figure as files of all `KINDS`, with what is drawn measured once."""
    box = figure.get_tightbbox()
    return {kind: encoded(figure, kind, box) for kind in KINDS}


def encoded(figure: Figure, kind: str, box: BboxBase | None = None) -> bytes:
    """Encodes a figure as a file of one of the `KINDS`; an SVG file has no background and no metadata.

    Args:
        figure: the figure.
        kind: "png", "svg" or "pdf".
        box: what is drawn, in inches; None: it is measured.
    """
    file = io.BytesIO()
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # below, it names what it leaves out of each font
    with rc_context(STYLE):
        box = (box or figure.get_tightbbox()).padded(MARGIN)  # "tight" means the same, but draws twice
        options: dict[str, Any] = {"format": kind, "bbox_inches": box}
        if kind == "svg":
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            figure.savefig(file, transparent=True, metadata=nothing, **options)
        else:
            undated = {"CreationDate": None} if kind == "pdf" else None
            figure.savefig(file, dpi=PNG_DPI, metadata=undated, **options)
    return file.getvalue()


def panels(
    number: tuple[int, int], size: tuple[float, float], form: Form, above: float = GAP
) -> tuple[Figure, Sequence[Sequence[Axes]]]:
    """Makes a grid of axes, with `above` inches above each for its title.

    Saved files are cropped to the drawn content, so labels that reach beyond the figure are not cut off.

    Args:
        number: of axes, one below the other and side by side.
        size: of each in inches, width and height, before it is stretched.
        form: the form of the figure.
        above: inches above each of the axes.
    """
    (lines, abreast), gap, above = number, GAP * form.text, above * form.text
    width, height = size[0] * form.stretch, size[1] * math.sqrt(form.text)
    across, down = abreast * (width + gap), lines * (height + above)
    figure = Figure(figsize=(across, down))
    space = {"wspace": gap / width, "hspace": above / height}
    edges = {"left": 0, "bottom": 0, "right": 1 - gap / across, "top": 1 - above / down}
    return figure, list(figure.subplots(lines, abreast, squeeze=False, gridspec_kw=space | edges))


def line_styles(looks: Sequence[Look], form: Form) -> list[dict[str, Any]]:
    """Returns the styles of curves; each is thinner than those before it, so that it does not hide them."""
    styles: list[dict[str, Any]] = []
    for number, look in enumerate(looks):
        relative = THICKEST - (THICKEST - THINNEST) * number / max(1, len(looks) - 1)
        width, size = 1.4 * form.text * relative, 4 * form.text * math.sqrt(relative)
        own = {"color": look.colour, "linestyle": look.dash, "marker": look.marker}
        styles.append(own | {"linewidth": width, "markersize": size})
    return styles


def draw_means(
    axes: Axes, x: Sequence[float], points: Sequence[Estimate], style: dict[str, Any], number: int = 0
) -> None:
    """Draws means over `x`, with a few markers, and a band of standard error where there are several seeds.

    Where not all points have markers, curves of different `number` have them at different points.
    """
    mean = np.array([point.mean for point in points])
    step = math.ceil(len(points) / MARKERS_UP_TO)
    axes.plot(x, mean, markevery=(number % step, step), **style)
    if points[0].sem is not None:
        width = np.array([point.sem for point in points])
        axes.fill_between(x, mean - width, mean + width, color=style["color"], alpha=0.2, linewidth=0)


def count_tasks(axes: Axes, title: str) -> None:
    """Titles a panel of curves over the number of tasks learned; one without curves is left out."""
    if not axes.has_data():
        axes.set_axis_off()
        return
    axes.set_title(title, loc="left")
    axes.set_xlabel("tasks learned")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.set_xlim(axes.dataLim.x0 - 0.3, axes.dataLim.x1 + 0.3)


def name_curves(line_of_axes: Sequence[Axes], names: Sequence[str], styles: Sequence[dict[str, Any]]) -> None:
    """Puts a legend beside the last of some axes."""
    handles = [
        line_of_axes[0].plot([], [], label=wrapped(name), **style)[0] for name, style in zip(names, styles, strict=True)
    ]
    line_of_axes[-1].legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)


def scale_scores(axes: Axes, score: Score) -> None:
    """Scales the vertical axis of scores that have been drawn: per cent up to 100, or errors on a logarithmic scale."""
    if not score.higher_is_better:
        axes.set_yscale("log")
        return
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
    axes.yaxis.set_major_formatter(PER_CENT)
    if axes.has_data():
        axes.set_ylim(accuracy_range(*axes.dataLim.intervaly))


def accuracy_range(low: float, high: float) -> tuple[float, float]:
    """Returns the ends of an axis for accuracies from `low` to `high`, which stand in its middle, or nearer to 0 or 1.

    The axis ends a little beyond 0 and 1, so that half a marker fits there, and has the `SMALLEST_RANGE`.
    """
    room = max((high - low) * (1 + 2 * AROUND), SMALLEST_RANGE)
    least, most = -BEYOND * room, 1 + BEYOND * room
    bottom = max(min((low + high + room) / 2, most) - room, least)
    return bottom, min(bottom + room, most)


def wrapped(label: str) -> str:
    """Breaks a label into lines."""
    return textwrap.fill(label, LABEL_WIDTH, break_long_words=False)


def write_below(figure: Figure, remarks: Sequence[str], form: Form) -> None:
    """Writes remarks below all panels, wrapped to the width of the figure, but at least to that of a label."""
    width, height = figure.get_size_inches()
    characters = max(LABEL_WIDTH, int(width * CHARACTERS_PER_INCH / form.text))
    text = "\n".join(textwrap.fill(remark, characters, subsequent_indent="  ") for remark in remarks)
    figure.text(0, -BELOW * form.text / height, text, va="top", fontsize="small")

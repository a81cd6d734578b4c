"""How cells of a matrix of scores are coloured and written, in pictures of a run and in reports: brighter is better.

Colours of accuracies go from 0 to 1. Errors have no largest value, and differ by orders of magnitude: theirs are
logarithmic, from the smallest to the largest that is shown.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, LogLocator, PercentFormatter

from hnet_cl.core.scores import Score

COLOUR_MAP = "viridis"  # perceptually uniform, also with the common colour vision deficiencies
DARK = 0.6  # share of the colour map up to which white text is readable


def scale(score: Score, values: np.ndarray) -> Normalize:
    """Returns the map from scores to 0..1 for the colours of a matrix that holds these `values`, NaN where empty."""
    if score.higher_is_better:
        return Normalize(0, 1)
    positive = values[values > 0]
    low, high = (positive.min(), positive.max()) if positive.size else (1.0, 1.0)
    return LogNorm(low, high if high > low else 10 * low, clip=True)


def draw_cells(axes: Axes, values: np.ndarray, score: Score, norm: Normalize, **look: str) -> AxesImage:
    """Draws a matrix of scores in colours; `look` are arguments of `imshow`."""
    cmap = COLOUR_MAP if score.higher_is_better else f"{COLOUR_MAP}_r"
    return axes.imshow(values, cmap=cmap, norm=norm, interpolation="nearest", **look)  # type: ignore[arg-type]


def write_numbers(axes: Axes, values: np.ndarray, score: Score, norm: Normalize, size: float) -> None:
    """Writes scores into the cells of a heat map; `size` is the font size in points."""
    for (i, j), value in np.ndenumerate(values):
        if not np.isnan(value):
            share = float(norm(value)) if score.higher_is_better else 1 - float(norm(value))
            colour = "white" if share < DARK else "black"
            axes.text(j, i, score.shown(value), ha="center", va="center", fontsize=size, color=colour)


def colour_bar(image: AxesImage, axes: Axes, score: Score, decimals: int | None = None) -> Axes:
    """Draws the colour bar of a heat map into `axes`; returns them."""
    assert axes.figure is not None
    bar = axes.figure.colorbar(image, cax=axes)
    if score.higher_is_better:
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals, symbol=" %"))
    else:
        bar.ax.yaxis.set_major_locator(LogLocator())
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        bar.ax.minorticks_off()
    return bar.ax

"""A picture of a generator's samples for each task."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

GAP = 2  # white pixels between two samples
SCALE = 0.014  # inches per pixel of a sample


def sample_grid(pictures: np.ndarray, recognised: Sequence[float], title: str) -> Figure:
    """Shows samples in a grid, one row per task, with the fraction of its samples that a classifier recognises.

    Args:
        pictures: (T, n, C, H, W) in 0..1, where C is 1 or 3; NaN is left blank.
        recognised: (T,) fractions.
        title: name of the run.
    """
    tasks, number, channels, height, width = pictures.shape
    canvas = np.ones((tasks * (height + GAP) - GAP, number * (width + GAP) - GAP, channels))
    for row, column in np.ndindex(tasks, number):
        y, x = row * (height + GAP), column * (width + GAP)
        shown = pictures[row, column] if channels == 3 else 1 - pictures[row, column]  # digits are shown black on white
        canvas[y : y + height, x : x + width] = np.nan_to_num(shown, nan=1.0).clip(0, 1).transpose(1, 2, 0)
    left, right, bottom, top = 0.7, 0.75, 0.1, 0.65
    inner_height, inner_width = (SCALE * side for side in canvas.shape[:2])
    full_width, full_height = left + inner_width + right, bottom + inner_height + top
    figure = Figure(figsize=(full_width, full_height), dpi=150)
    axes = figure.add_axes(
        (left / full_width, bottom / full_height, inner_width / full_width, inner_height / full_height)
    )
    axes.imshow(canvas.squeeze(), cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    middles = np.arange(tasks) * (height + GAP) + height / 2
    axes.set_yticks(middles, [f"task {task + 1}" for task in range(tasks)], fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for middle, share in zip(middles, recognised, strict=True):
        axes.text(canvas.shape[1] + 4, middle, f"{share:.0%}", va="center", fontsize=8)
    axes.set_title(f"{title}\nsamples after {tasks} tasks; right: recognised", fontsize=10, loc="left")
    return figure

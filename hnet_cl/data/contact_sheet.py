"""A picture with one training image of each class of each task."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hnet_cl.benchmarks.base import Task

MOST_TASKS, MOST_CLASSES = 20, 20  # that are drawn
CELL, LABEL = 0.75, 0.17  # inches: the side of an image, and the height of the line below it
LEFT, TOP, EDGE = 1.6, 0.45, 0.1  # inches around the images
LONGEST_TASK, LONGEST_CLASS = 26, 14  # characters of a name


def contact_sheet(tasks: Sequence[Task], title: str) -> Figure | None:
    """Draws the first training image of each class, one row per task; None if inputs are not images."""
    shown = tasks[:MOST_TASKS]
    if any(task.picture is None for task in shown):
        return None
    columns = min(MOST_CLASSES, max(task.num_classes for task in shown))
    width, height = LEFT + columns * CELL + EDGE, TOP + len(shown) * (CELL + LABEL) + EDGE
    figure = Figure(figsize=(max(width, 5.0), height), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, max(width, 5.0))
    axes.set_ylim(height, 0)
    axes.axis("off")
    axes.text(
        EDGE, 0.22, _drawable(f"{title}{_left_out(tasks, columns)}", 120), fontsize=9, va="center", parse_math=False
    )
    for row, task in enumerate(shown):
        top = TOP + row * (CELL + LABEL)
        name = _drawable(f"{task.id + 1}  {task.name}", LONGEST_TASK)
        axes.text(EDGE, top + CELL / 2, name, fontsize=7, va="center", parse_math=False)
        _draw_row(axes, task, top)
    return figure


def _draw_row(axes: Axes, task: Task, top: float) -> None:
    for column, image in first_images(task):
        left = LEFT + column * CELL
        axes.imshow(
            image,
            extent=(left + 0.03, left + CELL - 0.03, top + CELL - 0.03, top + 0.03),
            cmap="gray",
            vmin=0,
            vmax=1,
            interpolation="nearest",
            aspect="auto",
        )
        name = _drawable(task.classes[column], LONGEST_CLASS)
        axes.text(left + CELL / 2, top + CELL + 0.04, name, fontsize=5.5, ha="center", va="center", parse_math=False)


def first_images(task: Task) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each class that is drawn with its first training image, (H, W) if grey and (H, W, 3) if coloured."""
    assert task.picture is not None
    for label in range(min(MOST_CLASSES, task.num_classes)):
        found = (task.train.labels == label).nonzero()[:1, 0]
        if len(found):
            inputs, _ = task.train.batch(found)
            image: torch.Tensor = task.picture(inputs)[0]
            yield label, image.permute(1, 2, 0).squeeze(2).clamp(0, 1).cpu().numpy()


def _left_out(tasks: Sequence[Task], columns: int) -> str:
    parts = []
    if len(tasks) > MOST_TASKS:
        parts.append(f"the first {MOST_TASKS} of {len(tasks)} tasks")
    if (most := max(task.num_classes for task in tasks)) > columns:
        parts.append(f"the first {columns} of up to {most} classes")
    return f" ({', '.join(parts)})" if parts else ""


def _drawable(text: str, longest: int) -> str:
    """Returns text that the font has characters for, cut after `longest` of them."""
    plain = text.encode("latin-1", "replace").decode("latin-1")
    printed = "".join(char if char.isprintable() else "?" for char in plain)
    return printed if len(printed) <= longest else f"{printed[: longest - 2]}.."

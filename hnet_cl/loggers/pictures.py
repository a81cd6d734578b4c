"""Figures of a run. They use matplotlib's Figure directly: no pyplot, no windows, no global state."""

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.scores import ACCURACY, Score
from hnet_cl.loggers.colours import colour_bar, draw_cells, scale, write_numbers
from hnet_cl.loggers.samples import sample_grid
from hnet_cl.records.logger import Logger
from hnet_cl.records.metrics import BenchmarkFacts, Matrix, task_inference
from hnet_cl.records.metrics_table import METRICS, Evidence, summary
from hnet_cl.records.run_state import RunState, Samples

DRAWING_SHARE = 0.02  # the largest fraction of time that heat maps may take before the last task
FIRST = 15.0  # seconds before the first heat map, which takes 2 % of them; shorter runs draw once, at their end
NUMBERED_UP_TO = 20  # tasks; with more, numbers in cells would be too small to read

Show = Callable[[str, np.ndarray], None]


def accuracy_heatmap(matrix: Matrix, title: str, benchmark_facts: BenchmarkFacts) -> Figure:
    """Draws an accuracy matrix as a heat map: one row per finished task, one column per task, colours fixed to 0..1.

    Args:
        matrix: n >= 1 finished rows of T fractions, None (left blank) where not evaluated.
        title: name of the run; ACC, its 95 % interval and the majority-class accuracy are added.
        benchmark_facts: facts about the test sets, for the interval and the majority-class accuracy.
    """
    found = summary(Evidence(matrix, benchmark_facts))
    within = f"(95 %: {100 * (found['acc_low'] or 0):.1f} to {100 * (found['acc_high'] or 0):.1f})"
    text = (
        f"{title}\nACC {found['acc']:.2%} {within} after {len(matrix)} of {len(matrix[0])} tasks"
        f"\nmajority class {found['majority']:.2%}"
    )
    return _heatmap(matrix, text, ("accuracy on task", "after learning task"))


def error_heatmap(matrix: Matrix, title: str, score: Score) -> Figure:
    """Draws a matrix of errors as a heat map: one row per finished task, one column per task, colours logarithmic.

    Args:
        matrix: n >= 1 finished rows of T errors, None (left blank) where not evaluated.
        title: name of the run; the mean error is added.
        score: the kind of error.
    """
    mean = METRICS[score.main].in_unit(summary(Evidence(matrix, score=score))[score.main])
    text = f"{title}\n{score.title} {mean} after {len(matrix)} of {len(matrix[0])} tasks, smaller is better"
    return _heatmap(matrix, text, (f"{score.title} on task", "after learning task"), score)


def _heatmap(matrix: Matrix, title: str, labels: tuple[str, str], score: Score = ACCURACY) -> Figure:
    """Draws scores (n, T) as a square heat map, None left blank; labels are those of the x and the y axis."""
    tasks = len(matrix[0])
    figure, axes, bar_axes = _canvas(side=float(np.clip(0.52 * tasks, 3.2, 7.8)))
    values = np.full((tasks, tasks), np.nan)
    for i, row in enumerate(matrix):
        values[i] = [np.nan if value is None else value for value in row]
    norm = scale(score, values)
    image = draw_cells(axes, values, score, norm, aspect="auto")
    _label_axes(axes, tasks, labels)
    if tasks <= NUMBERED_UP_TO:
        write_numbers(axes, values, score, norm, size=9 if tasks <= 10 else 6.5)
    axes.set_title(title, fontsize=10, loc="left")
    bar = colour_bar(image, bar_axes, score, decimals=0)
    bar.tick_params(length=0, labelsize=8)
    bar.spines[:].set_visible(False)
    return figure


def inference_heatmap(inferred: Sequence[Sequence[int]], title: str) -> Figure:
    """Draws a heat map of the tasks inferred for the test examples of each task (a row-normalised confusion matrix).

    Args:
        inferred: (T, T) counts, one row per true task; rows of tasks that were not tested stay blank.
        title: name of the run; the task-inference accuracy is added.
    """
    shares = [[count / sum(row) if sum(row) else None for count in row] for row in inferred]
    text = f"{title}\ntask inference {task_inference(inferred):.2%}"
    return _heatmap(shares, text, ("inferred task", "true task"))


def _canvas(side: float) -> tuple[Figure, Axes, Axes]:
    """Returns a figure, axes for a square of `side` inches, and axes for its colour bar; margins are fixed."""
    left, right, bottom, top = 0.7, 0.95, 0.6, 0.8
    width, height = left + side + right, bottom + side + top
    figure = Figure(figsize=(width, height), dpi=150)
    square = figure.add_axes((left / width, bottom / height, side / width, side / height))
    bar = figure.add_axes(((left + side + 0.15) / width, bottom / height, 0.2 / width, side / height))
    return figure, square, bar


def _label_axes(axes: Axes, tasks: int, labels: tuple[str, str]) -> None:
    step = next(step for step in (1, 5, 10, 25, 50, tasks) if tasks / step <= NUMBERED_UP_TO)
    shown = [task for task in range(tasks) if step == 1 or task == 0 or (task + 1) % step == 0]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(shown))
        axis.set_ticklabels([str(task + 1) for task in shown])
    axes.tick_params(length=0, labelsize=8)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.spines[:].set_visible(False)
    if tasks <= NUMBERED_UP_TO:  # white lines between the cells
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(FixedLocator([edge - 0.5 for edge in range(1, tasks)]))
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)


def score_heatmap(state: RunState, title: str) -> Figure:
    """Draws the matrix of a run's scores."""
    if state.benchmark_facts is None:
        return error_heatmap(state.matrix, title, state.score)
    return accuracy_heatmap(state.matrix, title, state.benchmark_facts)


class PictureLog(Logger):
    """Keeps the pictures in a run folder up to date and passes them on to other loggers.

    Heat maps are drawn after the last task; before that, not in the first seconds, and only so often that drawing takes
    at most 2 % of the time.

    Args:
        title: name of the run.
        show: called with the name of each picture and its pixels, uint8 (height, width, 3).
    """

    def __init__(self, title: str, show: Show) -> None:
        super().__init__()
        self._title = title
        self._show = show
        self._next = time.monotonic() + FIRST  # the earliest time at which to draw
        self._sampled: np.ndarray | None = None

    def samples(self, state: RunState, samples: Samples) -> None:
        """Draws samples of the generator, in one picture per task learned."""
        if samples.pictures is not None:
            self._sampled = pixels(sample_grid(samples.pictures, samples.recognised, self._title))
            save_picture(self._sampled, state.folder / f"samples_after_task_{state.task + 1:02d}.png")

    def row(self, state: RunState) -> None:
        """Draws the matrix of scores and, where tasks are inferred, the inferred tasks."""
        if self._sampled is not None:
            self._show("samples", self._sampled)
            self._sampled = None
        start = time.monotonic()
        if start < self._next and state.learned < len(state.iterations):
            return
        figures = {state.score.matrix: score_heatmap(state, self._title)}
        if state.inferred:
            figures["inferred_tasks"] = inference_heatmap(state.inferred, self._title)
        for name, figure in figures.items():
            picture = pixels(figure)
            save_picture(picture, state.folder / f"{name}.png")
            self._show(name, picture)
        now = time.monotonic()
        self._next = now + (now - start) / DRAWING_SHARE


def pixels(figure: Figure) -> np.ndarray:
    """Renders the figure as an image, uint8 (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save_picture(picture: np.ndarray, path: Path, program: str | None = None) -> None:
    """Writes pixels, uint8 (height, width, 3), as a PNG file atomically, with the name of the program in it if given.

    Raises:
        OSError: the file cannot be written.
    """
    buffer = io.BytesIO()
    mark = PngInfo()
    if program is not None:
        mark.add_text("Software", program)
    Image.fromarray(picture).save(buffer, format="png", pnginfo=mark)
    write_atomically(path, buffer.getvalue())

"""The figure of scores over memory: what a method reaches for the bytes that it keeps."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hnet_cl.core.scores import Score
from hnet_cl.records.metrics_table import MB
from hnet_cl.report.drawing import PANEL_WIDTH, line_styles, name_curves, panels, scale_scores
from hnet_cl.report.estimate import estimate
from hnet_cl.report.forms import FORM, Form
from hnet_cl.report.grouping import Section
from hnet_cl.report.looks import TOGETHER, looks
from hnet_cl.report.runs import Run

ROUND = (1.0, 2.0, 5.0)  # ticks, times powers of ten
SIZE = 6  # of a point
BESIDE = 1.3  # by which factor the axis of memory goes on beyond the points


def memory_figure(section: Section, score: Score, form: Form = FORM) -> Figure | None:
    """Draws the mean score after the last task over the bytes kept then; None unless two rows have different bytes.

    Memory is on a logarithmic axis. A point is the mean over seeds, with its standard error.
    """
    rows = [row for row in section.rows if any(_known(runs, score) for runs in row.cells.values())]
    kept = {run.metrics["memory"] for row in rows for runs in row.cells.values() for run in _known(runs, score)}
    if len(rows) < 2 or len(kept) < 2:
        return None
    chunks = [rows[i : i + TOGETHER] for i in range(0, len(rows), TOGETHER)]
    figure, grid = panels((len(chunks), len(section.columns)), (PANEL_WIDTH, 2.4), form, above=0.8)
    for chunk, line_of_axes in zip(chunks, grid, strict=True):
        point = {"linestyle": "none", "markersize": SIZE * form.text}
        styles = [style | point for style in line_styles(looks(chunk), form)]
        for column, axes in zip(section.columns, line_of_axes, strict=True):
            for row, style in zip(chunk, styles, strict=True):
                if runs := _known(row.cells.get(column, ()), score):
                    memory, found = (estimate([run.metrics[name] for run in runs]) for name in ("memory", score.main))
                    axes.errorbar(memory.mean, found.mean, yerr=found.sem or 0.0, **style)
            _finish(axes, section.column_title(column), score, (min(kept), max(kept)))
        name_curves(line_of_axes, [row.title for row in chunk], styles)
        line_of_axes[0].set_ylabel(f"mean {score.title}")
    return figure


def _known(runs: Sequence[Run], score: Score) -> list[Run]:
    """Returns the runs whose memory and score are known."""
    return [run for run in runs if run.metrics.get("memory", 0) > 0 and score.main in run.metrics]


def _finish(axes: Axes, title: str, score: Score, memory: tuple[float, float]) -> None:
    if not axes.has_data():
        axes.set_axis_off()
        return
    axes.set_title(title, loc="left")
    axes.set_xscale("log")
    axes.set_xlim(memory[0] / BESIDE, memory[1] * BESIDE)
    axes.xaxis.set_major_locator(LogLocator(subs=ROUND, numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / MB:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("memory kept after the last task (MB, logarithmic)")
    scale_scores(axes, score)

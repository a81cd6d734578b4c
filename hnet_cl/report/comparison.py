"""Comparison of the runs below some folders, as the command line writes it and `hnet_cl.compare` returns it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hnet_cl.core.scores import ACCURACY, SCORES
from hnet_cl.records.metrics_table import compared
from hnet_cl.report import tables
from hnet_cl.report.grouping import Layout, sections
from hnet_cl.report.notes import Note, lines, notes
from hnet_cl.report.quantities import quantities
from hnet_cl.report.runs import Run, read_runs
from hnet_cl.report.selection import Selection, require_key, require_settings, select, where
from hnet_cl.report.transfer import SCRATCH, missing, with_scratch

if TYPE_CHECKING:
    import pandas as pd

Format = Callable[[Sequence[tables.Table], bool, Sequence[str]], str]
FORMATS: Mapping[str, Format] = {
    "text": tables.text,
    "markdown": tables.markdown,
    "latex": tables.latex,
    "csv": tables.to_csv,
}


@dataclass(frozen=True)
class Choice:
    """The choice of what to compare and how to show it; None stands for the default.

    Attributes:
        rows: keys whose values make the rows; by default the method.
        columns: keys whose values make the columns, by default the scenario; `metric` puts metrics side by side.
        metric: names of metrics; by default the mean score, or all metrics in a full report.
        where: conditions KEY=VALUE that runs must meet.
        ignore: keys in which runs that are averaged together may differ.
        ci: whether cells show confidence intervals.
    """

    rows: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    metric: Sequence[str] | None = None
    where: Sequence[str] = ()
    ignore: Sequence[str] = ()
    ci: bool = False


@dataclass(frozen=True)
class Comparison:
    """Compared runs.

    Attributes:
        tables: one for each metric of each benchmark and data set, or one with several metrics side by side.
        selection: all runs that were found, sorted by how they can be used.
        remarks: which runs are not averaged, and why.
        ci: whether cells show confidence intervals.
    """

    tables: Sequence[tables.Table]
    selection: Selection
    remarks: Sequence[Note]
    ci: bool

    def render(self, name: str) -> str:
        """Returns all tables and remarks in the format `name`, a key of `FORMATS`."""
        return FORMATS[name](self.tables, self.ci, lines(self.remarks))

    def __str__(self) -> str:
        return self.render("text")

    __repr__ = __str__

    def markdown(self) -> str:
        """Returns all tables and remarks in GitHub-style Markdown."""
        return self.render("markdown")

    _repr_markdown_ = markdown  # what a notebook shows

    def latex(self) -> str:
        r"""Returns all tables as LaTeX; the preamble needs \usepackage{booktabs}."""
        return self.render("latex")

    @property
    def frame(self) -> "pd.DataFrame":
        """Returns one row per cell, in full precision, as in the CSV file of a report."""
        import pandas as pd

        header, cells = tables.cells(self.tables)
        return pd.DataFrame(cells, columns=header)


def compare_runs(folders: Sequence[Path], choice: Choice, every_metric: bool = False) -> Comparison:
    """Compares the finished runs below some folders.

    Args:
        folders: where to look for runs, at any depth.
        choice: what to compare.
        every_metric: whether all metrics are compared, rather than the mean score alone, if `choice` names none.

    Raises:
        UserError: a folder does not exist, no run is left, or no run has a given key or metric.
    """
    readable, unreadable = read_runs(folders)
    every = with_scratch(readable)
    runs = where(every, choice.where)
    require_settings(choice.ignore, runs, "--ignore")
    selection = select(runs, unreadable, choice.ignore)
    layout = _layout(choice, runs)
    without_transfer = missing(selection.finished, every)
    needs = {"transfer": lines(without_transfer)[1].strip()} if without_transfer else {}
    usual = compared() if every_metric else main_metrics(selection.finished)
    wanted = quantities(choice.metric, usual, selection.finished, needs)
    found = tables.tables(sections(selection.finished, layout), wanted, layout)
    # A report of all metrics says nothing of transfer where nobody has trained from scratch.
    sought = choice.metric is not None or any(run.result.method == SCRATCH for run in every)
    asked = sought and any(quantity.name == "transfer" for quantity in wanted)
    return Comparison(found, selection, [*notes(selection), *(without_transfer if asked else [])], choice.ci)


def main_metrics(runs: Sequence[Run]) -> list[str]:
    """Returns the metric that is the mean score: of each kind of score that the runs have, or else ACC."""
    found = {run.score for run in runs}
    return [score.main for score in SCORES.values() if score in found] or [ACCURACY.main]


def _layout(choice: Choice, runs: Sequence[Run]) -> Layout:
    rows = _usual("method", choice.columns) if choice.rows is None else choice.rows
    columns = _usual("scenario", rows) if choice.columns is None else choice.columns
    layout = Layout(rows, [key for key in columns if key != "metric"], choice.ignore, "metric" in columns)
    for option, keys in (("--rows", layout.rows), ("--columns", layout.columns)):
        for key in keys:
            require_key(key, runs, option)
    return layout


def _usual(key: str, taken: Sequence[str] | None) -> list[str]:
    return [] if key in (taken or ()) else [key]

"""Grouping of runs into rows and columns, so that a cell never holds more than one configuration."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from hnet_cl.core.scores import Score
from hnet_cl.report.differences import tell
from hnet_cl.report.labels import Place, grouped, joined, separate, tell_typed
from hnet_cl.report.methods import named, place
from hnet_cl.report.runs import Run, configured
from hnet_cl.report.selection import identity_of

NOTHING = "-"  # stands for the value of a key that a run does not have
SECTION_KEYS = ("benchmark", "data.name")  # never averaged over; in one table only as rows or columns

Values = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """The layout of a table.

    Attributes:
        rows: keys whose values make the rows.
        columns: keys whose values make the columns.
        ignored: keys in which runs of one cell may differ.
        side_by_side: whether several quantities share a table.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    ignored: Sequence[str] = ()
    side_by_side: bool = False


@dataclass(frozen=True)
class Row:
    """One row: the values of the row keys, further settings that identify it, and its runs by column.

    `shown` are the values as a paper would write them.
    """

    values: Values
    settings: str
    cells: Mapping[Values, Sequence[Run]]
    shown: Values

    @property
    def label(self) -> str:
        """Returns the full label: values of the row keys, then settings."""
        return joined(*self.values, self.settings)

    @property
    def title(self) -> str:
        """Returns the full label as a paper would write it."""
        return joined(*self.shown, self.settings)


@dataclass(frozen=True)
class Section:
    """One table: runs of one benchmark on the same data, unless these are rows or columns themselves.

    Attributes:
        keys: those of `SECTION_KEYS` that are not compared: the same value for all its runs.
        values: the values of `keys`.
        columns: values of the column keys, from left to right.
        column_titles: for each of the columns, its values as a paper would write them.
        row_keys: the keys whose values make the rows.
        rows: from top to bottom.
        remarks: differences between its runs that labels do not show.
        differing: all keys in which its runs differ, besides those of rows and columns.
    """

    keys: Sequence[str]
    values: Values
    columns: Sequence[Values]
    rows: Sequence[Row]
    remarks: Sequence[str] = ()
    differing: Sequence[str] = ()
    column_titles: Mapping[Values, Values] = field(default_factory=dict)
    row_keys: Sequence[str] = ()

    @property
    def title(self) -> str:
        """Returns the values of `keys` and, if it is the same for all runs, the number of tasks."""
        tasks = {run.result.num_tasks for row in self.rows for runs in row.cells.values() for run in runs}
        number = [f"{n} task{'s' if n > 1 else ''}" for n in tasks] if len(tasks) == 1 else []
        return ", ".join([*self.values, *number])

    def column_title(self, column: Values) -> str:
        """Returns the values of a column as a paper would write them."""
        return ", ".join(self.column_titles.get(column, column))

    def of_score(self, score: Score) -> "Section":
        """Returns the part of the section whose runs have this score."""
        cells = ({c: runs for c, runs in row.cells.items() if runs[0].score is score} for row in self.rows)
        rows = [replace(row, cells=own) for row, own in zip(self.rows, cells, strict=True) if own]
        return replace(self, rows=rows, columns=[c for c in self.columns if any(c in row.cells for row in rows)])


def sections(runs: Sequence[Run], layout: Layout) -> list[Section]:
    """Groups finished runs into sections, in natural order."""
    keys = [key for key in SECTION_KEYS if key not in (*layout.rows, *layout.columns)]
    return [_section(keys, values, part, layout) for values, part in _sorted_groups(runs, keys)]


def _section(keys: Sequence[str], values: Values, runs: Sequence[Run], layout: Layout) -> Section:
    compared = [configured(key) for key in (*layout.rows, *layout.columns)]
    places = [
        place for row, family in _sorted_groups(runs, layout.rows) for place in _places(row, family, compared, layout)
    ]
    differences = tell(places, compared, layout.ignored)
    separate(places)
    rows = [
        row for row_values, own in grouped((place.row, place) for place in places).items() for row in _rows(own, layout)
    ]
    columns = sorted({place.column for place in places}, key=partial(_natural, layout.columns))
    titles = {column: _titled(layout.columns, column) for column in columns}
    remarks, differing = differences.remarks(), [*differences.keys]
    return Section(keys, values, columns, rows, remarks, differing, titles, layout.rows)


def _titled(keys: Sequence[str], values: Values) -> Values:
    return tuple(named(key, value) for key, value in zip(keys, values, strict=True))


def _places(row: Values, family: Sequence[Run], compared: Sequence[str], layout: Layout) -> list[Place]:
    """Returns one place for each configuration and column among runs that share the values of the row keys.

    The labels of the places hold what was typed (see `tell_typed`).
    """
    identity = identity_of(layout.ignored)
    places = [
        Place(row, column, sorted(runs, key=lambda run: run.result.seed), {})
        for column, cell in _sorted_groups(family, layout.columns)
        for runs in grouped((identity(run), run) for run in cell).values()
    ]
    tell_typed(places, compared, layout.ignored)
    return places


def _rows(places: Sequence[Place], layout: Layout) -> list[Row]:
    """Makes rows of places that share the values of the row keys: one row for each name."""
    names = grouped((place.name, place) for place in places)
    shown = _titled(layout.rows, places[0].row)
    return [
        Row(places[0].row, name, {place.column: place.runs for place in names[name]}, shown)
        for name in sorted(names, key=_natural_settings)
    ]


def _sorted_groups(runs: Iterable[Run], keys: Sequence[str]) -> list[tuple[Values, list[Run]]]:
    """Groups runs by their values of some keys; returns the groups in natural order."""
    groups = grouped((tuple(run.value(key) or NOTHING for key in keys), run) for run in runs)
    return sorted(groups.items(), key=lambda group: _natural(keys, group[0]))


def _natural(keys: Sequence[str], values: Values) -> list[tuple[tuple[int, int], tuple[int, float, str]]]:
    """Returns a sort key that puts methods in their order, 9 before 10, numbers before words, and `NOTHING` last."""
    return [
        (place(value) if key == "method" else (0, 0), _natural_one(value))
        for key, value in zip(keys, values, strict=True)
    ]


def _natural_one(value: str) -> tuple[int, float, str]:
    if value == NOTHING:
        return (2, 0.0, value)
    try:
        number = float(value)
    except ValueError:
        return (1, 0.0, value)
    return (1, 0.0, value) if math.isnan(number) else (0, number, value)


def _natural_settings(name: str) -> list[tuple[str, tuple[int, float, str]]]:
    pairs = (part.partition("=") for part in name.split(", "))
    return [(key, _natural_one(value)) for key, _, value in pairs]

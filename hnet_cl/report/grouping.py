"""Runs in rows and columns, so that a cell never holds more than one configuration."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hnet_cl.report.differences import tell
from hnet_cl.report.labels import Place, grouped, joined, separate, tell_typed
from hnet_cl.report.runs import Run
from hnet_cl.report.selection import identity_of

NOTHING = "-"  # a run that has nothing under a key
SECTION_KEYS = ("benchmark", "data.name")  # never averaged over, never in one table unless asked for

Values = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """What a table looks like.

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
    """One row: the values of the row keys, what else tells its configurations apart, and runs by column."""

    values: Values
    settings: str
    cells: Mapping[Values, Sequence[Run]]

    @property
    def label(self) -> str:
        """All of its name."""
        return joined(*self.values, self.settings)


@dataclass(frozen=True)
class Section:
    """One table: runs of one benchmark on the same data, unless these are rows or columns themselves.

    Attributes:
        keys: what it is of.
        values: their values.
        columns: values of the column keys.
        rows: from top to bottom.
        remarks: in what its runs differ, as far as labels do not say.
        differing: all keys in which they differ beside those of rows and columns.
    """

    keys: Sequence[str]
    values: Values
    columns: Sequence[Values]
    rows: Sequence[Row]
    remarks: Sequence[str] = ()
    differing: Sequence[str] = ()

    @property
    def title(self) -> str:
        """Benchmark, data and, where all runs have the same, number of tasks."""
        tasks = {run.result.num_tasks for row in self.rows for runs in row.cells.values() for run in runs}
        number = [f"{n} task{'s' if n > 1 else ''}" for n in tasks] if len(tasks) == 1 else []
        return ", ".join([*self.values, *number])


def sections(runs: Sequence[Run], layout: Layout) -> list[Section]:
    """All tables of some finished runs."""
    keys = [key for key in SECTION_KEYS if key not in (*layout.rows, *layout.columns)]
    return [_section(keys, values, part, layout) for values, part in _sorted_groups(runs, keys)]


def _section(keys: Sequence[str], values: Values, runs: Sequence[Run], layout: Layout) -> Section:
    compared = (*layout.rows, *layout.columns)
    places = [
        place for row, family in _sorted_groups(runs, layout.rows) for place in _places(row, family, compared, layout)
    ]
    differences = tell(places, compared, layout.ignored)
    separate(places)
    rows = [row for row_values, own in grouped((place.row, place) for place in places).items() for row in _rows(own)]
    columns = sorted({place.column for place in places}, key=_natural)
    return Section(keys, values, columns, rows, differences.remarks(), [*differences.keys])


def _places(row: Values, family: Sequence[Run], compared: Sequence[str], layout: Layout) -> list[Place]:
    """The configurations of the runs that share the values of the row keys, by column."""
    identity = identity_of(layout.ignored)
    places = [
        Place(row, column, sorted(runs, key=lambda run: run.result.seed), {})
        for column, cell in _sorted_groups(family, layout.columns)
        for runs in grouped((identity(run), run) for run in cell).values()
    ]
    tell_typed(places, compared, layout.ignored)
    return places


def _rows(places: Sequence[Place]) -> list[Row]:
    """Rows of the places that share the values of the row keys: one for each name."""
    names = grouped((place.name, place) for place in places)
    return [
        Row(places[0].row, name, {place.column: place.runs for place in names[name]})
        for name in sorted(names, key=_natural_settings)
    ]


def _sorted_groups(runs: Iterable[Run], keys: Sequence[str]) -> list[tuple[Values, list[Run]]]:
    """Runs by their values of some keys, in natural order."""
    groups = grouped((tuple(run.value(key) or NOTHING for key in keys), run) for run in runs)
    return sorted(groups.items(), key=lambda group: _natural(group[0]))


def _natural(values: Values) -> list[tuple[int, float, str]]:
    """A sort key by which 9 comes before 10, numbers before words, and «nothing» last."""
    return [_natural_one(value) for value in values]


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

"""Runs in rows and columns, so that a cell never holds more than one configuration."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hnet_cl.report.runs import Run, one_line, shown
from hnet_cl.report.selection import Identity, identity_of, is_below

NOTHING = "-"  # a run that has nothing under a key
SECTION_KEYS = ("benchmark", "data.name")  # never averaged over, never in one table unless asked for
TOLD_APART = ("scenario", "method")
READABLE_SETTINGS = 3  # that differ; more of them make no name

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
Values = tuple[str, ...]
Configurations = Mapping[Identity, Sequence[Run]]
Names = dict[Identity, str]


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
        return _joined(*self.values, self.settings)


@dataclass(frozen=True)
class Section:
    """One table: runs of one benchmark on the same data, unless these are rows or columns themselves."""

    keys: Sequence[str]
    values: Values
    columns: Sequence[Values]
    rows: Sequence[Row]

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
    rows = [
        row for row_values, family in _sorted_groups(runs, layout.rows) for row in _rows(row_values, family, layout)
    ]
    columns = sorted({column for row in rows for column in row.cells}, key=_natural)
    return Section(keys, values, columns, rows)


def _rows(values: Values, family: Sequence[Run], layout: Layout) -> list[Row]:
    """Rows of the runs that share the values of the row keys: one for each way in which they are configured."""
    overrides = _differing_overrides(_configurations(family, layout), layout)
    cells: dict[str, dict[Values, list[Run]]] = {}
    for column, cell in _sorted_groups(family, layout.columns):
        configurations = _configurations(cell, layout)
        for identity, name in _names(configurations, overrides, layout).items():
            cells.setdefault(name, {})[column] = sorted(configurations[identity], key=lambda run: run.result.seed)
    return [Row(values, name, cells[name]) for name in sorted(cells, key=_natural_settings)]


def _configurations(runs: Iterable[Run], layout: Layout) -> Configurations:
    identity = identity_of(layout.ignored)
    return _grouped((identity(run), run) for run in runs)


def _differing_overrides(configurations: Configurations, layout: Layout) -> Names:
    """Of each configuration what was typed for all of its runs, without what was typed for all configurations."""
    elsewhere = (*SECTION_KEYS, *layout.rows, *layout.columns)
    typed = {}
    for identity, runs in configurations.items():
        told = [f"{key}={runs[0].value(key)}" for key in TOLD_APART if key not in elsewhere]
        for key, override in runs[0].typed.items():
            hidden = key in (*elsewhere, *TOLD_APART) or is_below(key, layout.ignored)
            if not hidden and all(override in run.typed.values() for run in runs):
                told.append(override)
        typed[identity] = told
    everywhere = set.intersection(*(set(told) for told in typed.values()))
    return {identity: _joined(*(one for one in told if one not in everywhere)) for identity, told in typed.items()}


def _names(configurations: Configurations, overrides: Names, layout: Layout) -> Names:
    """Names that differ for the configurations of a cell: their overrides, and whatever else that takes."""
    names = {identity: overrides[identity] for identity in configurations}
    for tell in (_settings, _config_id, _config_and_data, _folder):
        if len(set(names.values())) == len(names):
            break
        for name, alike in _grouped((overrides[identity], identity) for identity in configurations).items():
            if len(alike) > 1:
                told = tell({identity: configurations[identity] for identity in alike}, layout)
                names |= {identity: _joined(name, told[identity]) for identity in alike}
    return names


def _settings(configurations: Configurations, layout: Layout) -> Names:
    """The settings that differ, unless they are too many to read."""
    found = {identity: runs[0].settings for identity, runs in configurations.items()}
    keys = list(dict.fromkeys(key for settings in found.values() for key in settings))
    values = {key: [shown(settings[key]) if key in settings else None for settings in found.values()] for key in keys}
    differing = [key for key in keys if len(set(values[key])) > 1 and not is_below(key, layout.ignored)]
    if len(differing) > READABLE_SETTINGS:
        return dict.fromkeys(configurations, "")
    return {
        identity: _joined(*(f"{key}={shown(settings[key])}" if key in settings else f"no {key}" for key in differing))
        for identity, settings in found.items()
    }


def _config_id(configurations: Configurations, layout: Layout) -> Names:
    return {identity: f"config {runs[0].result.config_id}" for identity, runs in configurations.items()}


def _config_and_data(configurations: Configurations, layout: Layout) -> Names:
    ids = _config_id(configurations, layout)
    return {
        identity: f"{ids[identity]}, data {runs[0].result.data.checksum}" for identity, runs in configurations.items()
    }


def _folder(configurations: Configurations, layout: Layout) -> Names:
    return {identity: one_line(str(runs[0].folder)) for identity, runs in configurations.items()}


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _sorted_groups(runs: Iterable[Run], keys: Sequence[str]) -> list[tuple[Values, list[Run]]]:
    """Runs by their values of some keys, in natural order."""
    groups = _grouped((tuple(run.value(key) or NOTHING for key in keys), run) for run in runs)
    return sorted(groups.items(), key=lambda group: _natural(group[0]))


def _grouped(pairs: Iterable[tuple[Key, Item]]) -> dict[Key, list[Item]]:
    groups: dict[Key, list[Item]] = {}
    for key, item in pairs:
        groups.setdefault(key, []).append(item)
    return groups


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

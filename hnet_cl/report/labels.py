"""Configurations in the cells of a table, and their labels."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from hnet_cl.core.config_hash import is_below
from hnet_cl.report.runs import CLASS, NETWORK, Run, one_line, shown

DISTINGUISHING = ("scenario", "method")
NAMED = ("benchmark", "data.name", *DISTINGUISHING)  # taken from results, not from what was typed
BUNDLE = "experiment"  # sets other keys, which are compared themselves
RESULTS = ("num_tasks", "data.checksum")  # facts of a result that its settings may not determine

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


@dataclass
class Place:
    """One configuration in one cell of a table.

    Attributes:
        row: values of the row keys.
        column: values of the column keys.
        runs: its runs, one per seed.
        parts: the texts that its label shows besides the values of the row, by key.
    """

    row: tuple[str, ...]
    column: tuple[str, ...]
    runs: Sequence[Run]
    parts: dict[str, str]

    @property
    def name(self) -> str:
        """Returns the part of the label that follows the values of the row."""
        return joined(*self.parts.values())

    @property
    def label(self) -> str:
        """Returns the whole label."""
        return joined(*self.row, self.name)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Returns the configuration, with dotted keys; empty if it cannot be read for any run."""
        return next((run.settings for run in self.runs if run.settings), {})

    @cached_property
    def values(self) -> Mapping[str, str]:
        """Returns the settings and the `RESULTS` (number of tasks, checksum of the data), as text."""
        facts = {key: value for key in RESULTS if (value := self.runs[0].value(key)) is not None}
        return {key: shown(value) for key, value in self.settings.items()} | facts

    @cached_property
    def typed(self) -> Mapping[str, str]:
        """Returns the overrides that were typed for all of its runs, by key, without those in `NAMED`."""
        first, *others = (run.typed for run in self.runs)
        typed = {key: text for key, text in first.items() if all(text in typed.values() for typed in others)}
        return {key: text for key, text in typed.items() if key not in NAMED}

    @property
    def chose_network(self) -> bool:
        """Tells whether `network=CLASS` was typed for all of its runs."""
        return self.typed.get(CLASS, "").startswith(f"{NETWORK}=")


def tell_typed(places: Sequence[Place], hidden: Sequence[str], ignored: Sequence[str]) -> None:
    """Starts the labels of places that share the values of the row keys with what was typed, unless it was for all.

    If no cell holds two of the places and the settings of all are known, labels name only the scenario and method, so
    that the places can stay in one row; their settings are compared later (see `hnet_cl.report.differences.tell`).

    Args:
        places: the places, each without a label; their labels are set.
        hidden: keys that the table shows elsewhere.
        ignored: keys that, like all keys below them, do not distinguish configurations.
    """
    one_row = len({place.column for place in places}) == len(places) and all(place.settings for place in places)
    for place in places:
        names = {key: f"{key}={place.runs[0].value(key)}" for key in DISTINGUISHING if key not in hidden}
        untold = [*hidden, BUNDLE] if place.settings else hidden
        typed = {key: text for key, text in place.typed.items() if key not in untold and not is_below(key, ignored)}
        place.parts = names if one_row else typed | names
    everywhere = set.intersection(*(set(place.parts.items()) for place in places))
    for place in places:
        place.parts = {key: text for key, text in place.parts.items() if (key, text) not in everywhere}


def separate(places: Iterable[Place]) -> None:
    """Adds configuration ids, and if need be folders, to labels that are the same in one cell."""
    tells: dict[str, Callable[[Place], str]] = {
        "config": lambda place: f"config {place.runs[0].result.config_id}",
        "folder": lambda place: one_line(str(place.runs[0].folder)),
    }
    cells = grouped(((place.row, place.column), place) for place in places)
    for key, tell in tells.items():
        for cell in cells.values():
            for alike in grouped((place.name, place) for place in cell).values():
                if len({tell(place) for place in alike}) > 1:
                    for place in alike:
                        place.parts[key] = tell(place)


def joined(*parts: str) -> str:
    """Joins the parts that are not empty with commas."""
    return ", ".join(part for part in parts if part)


def grouped(pairs: Iterable[tuple[Key, Item]]) -> dict[Key, list[Item]]:
    """Groups items by key; keys and items keep their order."""
    groups: dict[Key, list[Item]] = {}
    for key, item in pairs:
        groups.setdefault(key, []).append(item)
    return groups

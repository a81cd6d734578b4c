"""Differences between the runs of one table beyond the compared keys, shown in row labels or in remarks below it.

For each setting, a remark gives the value that most rows share; the labels of the other rows give theirs.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from hnet_cl.core.config_hash import is_below
from hnet_cl.report.labels import BUNDLE, RESULTS, Place, grouped, joined
from hnet_cl.report.runs import by_network, one_line

MADE_WITH = ("device", "git_commit")  # besides all versions: how a run was made, beyond its settings
READABLE_SETTINGS = 3  # per label; if there are more, they go into a remark
READABLE_VALUES = 3  # listed per key that differs between runs; if there are more, only their number is given
READABLE_ROWS = 3  # the same for the rows that have a value
SIZES = (".hypernet.chunk_size", ".hypernet.compression")  # unless typed, what suits the target network
COMMIT_LENGTH = 10
NULL = "null"
Values = Mapping[str, Sequence[Place]]  # the places that have a value, by value


@dataclass
class Differences:
    """The differences found between the places of a table.

    Attributes:
        usual: settings that hold unless a row's label says otherwise, by the subject that they belong to ('' for all).
        long: settings that are too many for a label, by the text that the label shows instead.
        absent: places whose configuration lacks a key that others have, by key.
        unknown: places whose configuration cannot be read.
        untold: differences that labels do not show, such as ignored settings: keys with their values, by the heading of
            their remark.
        keys: all keys that differ.
    """

    usual: dict[str, list[str]] = field(default_factory=dict)
    long: dict[str, str] = field(default_factory=dict)
    absent: dict[str, list[Place]] = field(default_factory=dict)
    unknown: Sequence[Place] = ()
    untold: dict[str, dict[str, Values]] = field(default_factory=dict)
    keys: dict[str, None] = field(default_factory=dict)

    def remarks(self) -> list[str]:
        """Returns the differences that labels do not show, one per line; call it once the labels are final."""
        lines = [
            f"{joined(subject, 'unless a row says otherwise')}: {joined(*texts)}"
            for subject, texts in self.usual.items()
            if texts
        ]
        lines += [f"{label}: {settings}" for label, settings in self.long.items()]
        absent = grouped((_labels(places), key) for key, places in self.absent.items())
        lines += [f"not in the configuration of {labels}: {joined(*keys)}" for labels, keys in absent.items()]
        if self.unknown:
            lines.append(f"unknown settings, .hydra/config.yaml cannot be read: {_labels(self.unknown)}")
        for what, differing in self.untold.items():
            lines.append(f"{what}: {joined(*(f'{key} ({_listed(values)})' for key, values in differing.items()))}")
        return lines


def tell(places: Sequence[Place], compared: Sequence[str], ignored: Sequence[str]) -> Differences:
    """Adds to the label of each place what distinguishes it from the others; returns all differences found.

    Args:
        places: all places of a table, in the order of its rows; their labels are changed.
        compared: keys that make the rows or columns.
        ignored: keys in which the runs of one place may differ.
    """
    found = Differences(unknown=[place for place in places if not place.settings])
    known = [place for place in places if place.settings]
    added: dict[int, dict[str, str]] = {id(place): {} for place in known}
    for key in dict.fromkeys(key for place in known for key in place.values):
        if key not in compared and not is_below(key, ignored) and not _follows(key, known, compared):
            for context, alike in grouped((_context(key, place, compared, ignored), place) for place in known).items():
                if not _suits_network(key, alike, found):
                    _compare(key, context[0], alike, added, found)
    for place in known:
        _add(place, added[id(place)], found)
    _tell_unknown(places, compared, ["method", *ignored], found)
    _between_runs(places, compared, ignored, found)
    return found


def _follows(key: str, places: Sequence[Place], compared: Sequence[str]) -> bool:
    """Tells whether a setting follows from a compared choice above it, in Hydra's form: method/task_inference."""
    above = [one for one in compared if "/" in one and is_below(key, [one.replace("/", ".")])]
    alike = [grouped((place.runs[0].value(one), place.values.get(key)) for place in places) for one in above]
    return any(all(len(set(values)) == 1 for values in one.values()) for one in alike)


def _context(key: str, place: Place, compared: Sequence[str], ignored: Sequence[str]) -> tuple[str, object]:
    """Returns the context within which a setting is compared: its subject, and what else makes it a different setting.

    Settings of a method are compared per method, and per benchmark too where benchmarks are compared. Settings of any
    other compared group belong to one choice of the group. Each class (`_target_`) has settings of its own. `RESULTS`
    are compared between places with the same benchmark settings.
    """
    group = key.partition(".")[0]
    if key in RESULTS:
        settings = (one for one in place.values if is_below(one, ["benchmark"]) and not is_below(one, ignored))
        return "", tuple((one, place.values[one]) for one in settings)
    own = [group] if group in compared or group == "method" else []
    own += ["benchmark"] if group == "method" and "benchmark" in compared else []
    values = [place.runs[0].value(one) or "" for one in own]
    class_key = f"{group}._target_"
    return joined(*values), None if key == class_key else place.values.get(class_key)


def _suits_network(key: str, alike: Sequence[Place], found: Differences) -> bool:
    """Tells whether a setting has been chosen to suit the network, not typed, so that it is no part of a name.

    Then it is the same wherever the network is; if it is not the same everywhere, `found` will say so.
    """
    if not key.endswith(SIZES) or any(key in place.typed for place in alike):
        return False
    values = grouped((place.values[key], place) for place in alike if key in place.values)
    networks = [{_network(place) for place in places} for places in values.values()]
    if sum(map(len, networks)) > len(set().union(*networks)):
        return False
    if len(values) > 1:
        found.keys[key] = None
        own = found.untold.setdefault("chosen to suit the network", {})
        own[key] = grouped(
            (value, place) for one in (own.get(key, {}), values) for value in one for place in one[value]
        )
    return True


def _network(place: Place) -> tuple[tuple[str, str], ...]:
    """Returns what is known of the network whose weights are generated."""
    return tuple(pair for pair in place.values.items() if is_below(pair[0], ["target", "training.parameters"]))


def _compare(
    key: str, subject: str, alike: Sequence[Place], added: Mapping[int, dict[str, str]], found: Differences
) -> None:
    """Compares the values of one key over the places `alike` of a context; fills `added` (by place) and `found`."""
    having = [place for place in alike if key in place.values]
    values = {place.values[key] for place in having}
    name = by_network(key) if any(place.chose_network for place in alike) else key
    lacking = [place for place in alike if key not in place.values and not _is_implied(key, place, alike)]
    if lacking and values - {NULL}:  # a key that came later is null where it does nothing
        found.keys[key] = None
        found.absent.setdefault(name, []).extend(lacking)
    if len(values) < 2:
        return
    found.keys[key] = None
    silent = [place for place in having if not _is_implied(key, place, having)]
    usual = _usual(key, silent)
    for place in silent:
        if place.values[key] != usual[place.column]:
            added[id(place)][key] = f"{name}={place.values[key]}"
    columns = grouped((value, joined(*column)) for column, value in usual.items())
    one = len(columns) == 1
    texts = [f"{name}={value}" + ("" if one else f" ({'; '.join(names)})") for value, names in columns.items()]
    found.usual.setdefault(subject, []).extend(texts)


def _is_implied(key: str, place: Place, alike: Sequence[Place]) -> bool:
    """Tells whether a place's label implies a setting: by its key or one above, as target=mlp_10 does target.hidden.

    A key above may be typed in Hydra's own form, as method/task_inference is.
    """
    if key in place.parts:
        return True
    above = [(one, text) for one, text in place.parts.items() if is_below(key, [one.replace("/", ".")])]
    return any(len({p.values.get(key) for p in alike if p.parts.get(one) == text}) == 1 for one, text in above)


def _usual(key: str, places: Iterable[Place]) -> dict[tuple[str, ...], str]:
    """Returns the most frequent value in each column.

    Ties go to the value that is most frequent over all columns, then to the one that was typed least often.
    """
    everywhere = Counter(place.values[key] for place in places)
    typed = Counter(place.values[key] for place in places if any(is_below(key, [one]) for one in place.typed))
    columns = {}
    for column, values in grouped((place.column, place.values[key]) for place in places).items():
        here = Counter(values)
        columns[column] = max(here, key=lambda value: (here[value], everywhere[value], -typed[value]))
    return columns


def _add(place: Place, added: Mapping[str, str], found: Differences) -> None:
    name = place.typed.get(BUNDLE, f"config {place.runs[0].result.config_id}")
    settings = joined(*added.values())
    if len(added) > READABLE_SETTINGS and found.long.setdefault(name, settings) == settings:
        place.parts["config"] = name
    else:
        place.parts |= added


def _tell_unknown(places: Sequence[Place], compared: Sequence[str], ignored: Sequence[str], found: Differences) -> None:
    """Labels the places whose settings are unknown by what was typed for them and by their `RESULTS`."""
    if not found.unknown:
        return
    everywhere = set.intersection(*(set(place.typed.items()) for place in places))
    facts = {key for key in RESULTS if len({place.values.get(key) for place in places}) > 1}
    found.keys |= dict.fromkeys(sorted(facts - set(compared)))
    for place in found.unknown:
        typed = {key: text for key, text in place.typed.items() if (key, text) not in everywhere}
        parts = typed | {key: f"{key}={value}" for key, value in place.values.items() if key in facts}
        place.parts |= {key: text for key, text in parts.items() if key not in compared and not is_below(key, ignored)}


def _between_runs(places: Sequence[Place], compared: Sequence[str], ignored: Sequence[str], found: Differences) -> None:
    runs = [run for place in places for run in place.runs]
    below = dict.fromkeys(key for run in runs if ignored for key in run.settings if is_below(key, ignored))
    versions = dict.fromkeys(key for run in runs for key in run.facts if key.startswith("versions."))
    for what, keys in (("ignored, but not the same", below), ("not made with the same", (*versions, *MADE_WITH))):
        differing = _differing(places, [key for key in keys if key not in compared])
        if differing:
            found.untold[what] = differing
            found.keys |= dict.fromkeys(differing)


def _differing(places: Sequence[Place], keys: Iterable[str]) -> dict[str, Values]:
    """Returns the keys that differ between runs, with their values; settings of a method are compared within it."""
    found: dict[str, Values] = {}
    for key in keys:
        of_method = is_below(key, ["method"])
        pairs = [
            (run.result.method if of_method else "", (_readable(key, value), place))
            for place in places
            for run in place.runs
            if (value := run.value(key)) is not None
        ]
        several = [own for own in grouped(pairs).values() if len({value for value, _ in own}) > 1]
        if several:
            found[key] = grouped(sorted((pair for own in several for pair in own), key=itemgetter(0)))
    return found


def _readable(key: str, value: str) -> str:
    value = value[:COMMIT_LENGTH] if key == "git_commit" else value
    return re.sub(r"\b1 threads\b", "1 thread", value) if key == "device" else value


def _listed(values: Values) -> str:
    """Lists values, each with its rows, unless all rows have the same; of too many, only the number.

    The value with most rows comes last; if there are several of these, and no other value in them, they are not named.
    """
    if len(values) > READABLE_VALUES:
        return f"{len(values)} values"
    rows = {value: dict.fromkeys(_label(place) for place in places) for value, places in values.items()}
    if len(set(map(tuple, rows.values()))) == 1:
        return "; ".join(rows)
    *fewer, (most, own) = sorted(rows.items(), key=lambda pair: len(pair[1]))
    clear = len(own) > 1 and not any(row in others for _, others in fewer for row in own)
    last = f"else {most}" if clear else _in_rows(most, own)
    return "; ".join([*(_in_rows(value, others) for value, others in fewer), last])


def _in_rows(value: str, rows: Iterable[str]) -> str:
    named = [*rows]
    return f"{value} in {' and '.join(named) if len(named) <= READABLE_ROWS else f'{len(named)} rows'}"


def _labels(places: Iterable[Place]) -> str:
    return "; ".join(dict.fromkeys(map(_label, places)))


def _label(place: Place) -> str:
    return one_line(place.label) or "runs"

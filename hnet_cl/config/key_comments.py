"""The keys of a yaml file with the comments beside them, read as text. Imports nothing heavy."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NOT_KEYS = ("_target_", "name", "defaults", "kind")
NO_KEYS = "no keys of its own"
WIDTH = 80
LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w.]+):(?P<value>[^#]*?)(?:\s+# (?P<comment>.*))?$")
ITEM = re.compile(r"^\s+- (?P<value>.*)$")
COMMENT = re.compile(r"^\s+# (?P<comment>.*)$")
DERIVED = re.compile(r"^  - (?P<name>\w+)\s*(?:#.*)?$", re.MULTILINE)
PART = re.compile(r"^  - (?:override )?(?P<group>/?[\w/]+): (?P<name>\w+)(?:\s+# (?P<comment>.*))?$", re.MULTILINE)


@dataclass
class Key:
    """A key of a yaml file: its dotted name within the file, its value as written and its comment."""

    name: str
    value: str
    comment: str


def keys_of(text: str) -> list[Key]:
    """Returns the keys of a yaml file, in their order: those with a value, and mappings that have a comment."""
    found: list[Key] = []
    above: list[tuple[int, Key]] = []  # the mappings that a line is inside of, with their indentation
    for line in text.splitlines():
        if (more := COMMENT.match(line)) and found:
            found[-1].comment += f" {more['comment']}"
        elif (item := ITEM.match(line)) and above:
            above[-1][1].value += f"{', ' if above[-1][1].value else ''}{item['value']}"
            if above[-1][1] not in found:
                found.append(above[-1][1])
        elif part := LINE.match(line):
            indent = len(part["indent"])
            above = [(depth, key) for depth, key in above if depth < indent]
            name = ".".join([*(key.name.rpartition(".")[2] for _, key in above), part["key"]])
            key = Key(name, part["value"].strip(), part["comment"] or "")
            if key.value or key.comment:
                found.append(key)
            if not key.value:
                above.append((indent, key))
    return [key for key in found if not key.name.startswith("defaults") and key.name.rpartition(".")[2] not in NOT_KEYS]


def explained(group: str, name: str, files: Mapping[str, Path]) -> str:
    """Returns a text on the keys of one choice of a group: how each is typed, its value, and its comment.

    A file that is derived from others of its group has their keys, with its own values.

    Args:
        group: the group, such as `method/buffer`.
        name: the choice.
        files: the yaml files of the group, by choice.
    """
    keys: dict[str, Key] = {}
    for typed in _lineage(group, name, files):
        earlier = keys.get(typed.name)
        keys[typed.name] = Key(typed.name, typed.value, typed.comment or (earlier.comment if earlier else ""))
    lines = []
    for key in keys.values():
        lines.append(f"  {key.name}={key.value}" if key.value else f"  {key.name}")
        lines += textwrap.wrap(key.comment, WIDTH, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines or [f"  {NO_KEYS}"])


def _lineage(group: str, name: str, files: Mapping[str, Path]) -> Iterator[Key]:
    """Yields the keys of a choice as they are typed, those of the files that it is derived from first."""
    text = files[name].read_text(encoding="utf-8")
    head, _, _ = text.partition("\n_target_")
    for parent in DERIVED.findall(head):
        if parent in files and parent != name:
            yield from _lineage(group, parent, files)
    for part in PART.finditer(text):
        place = part["group"].removeprefix("/") if part["group"].startswith("/") else f"{group}/{part['group']}"
        yield Key(place, part["name"], part["comment"] or "")
    start = "" if "@package _global_" in text else f"{group.replace('/', '.')}."
    for key in keys_of(text):
        yield Key(start + key.name, key.value, key.comment)


def chosen(arguments: Sequence[str], groups: Sequence[str]) -> list[tuple[str, str]]:
    """Returns the choices that are typed among command-line arguments, as pairs of group and name."""
    pairs = [argument.partition("=") for argument in arguments]
    return [(group, name) for group, _, names in pairs if group in groups for name in names.strip("[]").split(",")]

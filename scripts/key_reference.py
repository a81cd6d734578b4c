"""The pages of all choices and keys, in Markdown, from the yaml files in conf/ and the classes that check them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml
from annotated_types import BaseMetadata
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hnet_cl.config.check import DeviceSettings
from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.help_text import GROUPS, HYDRAS
from hnet_cl.config.key_comments import keys_of
from hnet_cl.core.chosen import TARGET, arguments_of, settings_of
from hnet_cl.core.importing import import_named
from hnet_cl.methods.parts.generated_decoder import GeneratedDecoderSettings
from hnet_cl.methods.parts.plain_decoder import PlainDecoderSettings
from hnet_cl.scenario import ScenarioSettings
from hnet_cl.sweeps.settings import SearchSettings
from hnet_cl.training.trainer import TrainingSettings

START = """# Keys

This page is made from the yaml files below `conf` and the classes that check them. *Default* is the value in the file;
a [preset](../howto/settings.md#presets-and-recipes) may set another one. The source of a value stands in brackets at
the end of its meaning: the paper, the official code, or our choice. A key that is not listed for a file has the value
of the file that it is derived from.

"""
CHOICES = """# Choices

This page is made from the yaml files below `conf`. `python -m hnet_cl --help` prints the same, with those in your own
folders. [Keys](keys.md) has the keys of each.

"""
PARTS = ("method/generator", "method/regularizer")  # groups below a method besides those of --help
KNOWN: Mapping[str, type[BaseModel]] = {
    "training": TrainingSettings,
    "device": DeviceSettings,
    "scenario": ScenarioSettings,
    "method.generator": GeneratedDecoderSettings,
    "hydra.sweeper": SearchSettings,
}
SIGNS = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", list: "list", dict: "mapping"}


def kind(annotation: Any, metadata: Any = ()) -> str:
    """Describes a type of a settings class in words: "whole number above 0, or null"."""
    given = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " | ".join(f"`{value}`" for value in given)
    if hasattr(annotation, "__metadata__"):
        return kind(given[0], [*_bounds(given[1:]), *metadata])
    if NoneType in given:
        return f"{kind(next(part for part in given if part is not NoneType), metadata)}, or null"
    origin = get_origin(annotation) or annotation
    if origin is list and given and (inner := kind(given[0])):
        return f"list, each a {inner}"
    bounds = " ".join(f"{SIGNS[sign]} {value:g}" for part in metadata for sign, value in _limits(part))
    return f"{WORDS.get(origin, '')} {bounds}".strip()


def _bounds(metadata: Any) -> Iterator[Any]:
    for part in metadata:
        yield from part.metadata if isinstance(part, FieldInfo) else [part]


def _limits(part: Any) -> Iterator[tuple[str, float]]:
    """Yields the bounds that a piece of pydantic's metadata sets, without those that are only there against typos."""
    if isinstance(part, BaseMetadata):
        for sign in SIGNS:
            value = getattr(part, sign, None)
            if isinstance(value, int | float) and value < 10**6:
                yield sign, value


def field_of(model: Any, name: str) -> FieldInfo | None:
    """Returns the field of a settings class at a dotted name; None if it declares none."""
    first, _, rest = name.partition(".")
    field: FieldInfo | None = getattr(model, "model_fields", {}).get(first)
    if field is None or not rest:
        return field
    inner = [part for part in (field.annotation, *get_args(field.annotation)) if hasattr(part, "model_fields")]
    return next((found for part in inner if (found := field_of(part, rest))), None)


def model_of(group: str, node: Any) -> Any:
    """Returns the settings class of a choice: that of its `_target_`, or the one that belongs to its group."""
    path = node.get(TARGET) if isinstance(node, Mapping) else None
    if path is None or path.startswith("hydra_plugins"):
        plain = isinstance(node, Mapping) and node.get("kind") == "plain"
        return PlainDecoderSettings if plain else KNOWN.get(group)
    found = import_named(path, TARGET)
    return arguments_of(found, ("in_shape", "num_outputs")) if group == "target" else settings_of(found)


def rows(group: str, path: Path) -> Iterator[str]:
    """Yields a row of a Markdown table for each key of a yaml file; `group` is its dotted place, or empty."""
    text = path.read_text(encoding="utf-8")
    everywhere = not group or "@package _global_" in text
    whole = yaml.safe_load(text) or {}
    for key in keys_of(text):
        place, _, inner = key.name.partition(".") if everywhere else (group, "", key.name)
        if group == "logger":
            place, inner = key.name.split(".", 1)
        node = whole.get(place, {}) if everywhere or group == "logger" else whole
        field = field_of(model_of(place, _inherited(group, path, node)), inner) if inner else None
        name = key.name if everywhere else f"{group}.{key.name}"
        of = kind(field.annotation, field.metadata) if field is not None else ""
        cells = (f"`{name}`", f"`{key.value}`" if key.value else "", of or _of_value(key.value), key.comment)
        yield "| " + " | ".join(cell.replace(" | ", " \\| ") for cell in cells) + " |"


def _inherited(group: str, path: Path, node: Any) -> Any:
    """Returns the node, with the `_target_` of the file that it is derived from if it has none of its own."""
    if not isinstance(node, Mapping) or TARGET in node:
        return node
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"^  - (\w+)$", text, re.MULTILINE):
        parent = path.with_name(f"{name}.yaml")
        if name != "_self_" and parent.is_file():
            found = yaml.safe_load(parent.read_text(encoding="utf-8"))
            return {**node, TARGET: (found.get(group) or found).get(TARGET)}
    return node


def _of_value(value: str) -> str:
    loaded = yaml.safe_load(value) if value else {}
    return WORDS.get(type(loaded), "") if not isinstance(loaded, str) or "$" not in loaded else ""


def reference() -> str:
    """Returns the page: the keys of every run, and those of every choice of every group."""
    parts = [START, "## Every run\n", *_table("", conf_dir() / "config.yaml")]
    groups = [*GROUPS[:4], *PARTS, *GROUPS[4:]]
    for group in (group for group in groups if group != "experiment"):
        for name, line in choices(conf_dir(), group).items():
            path = conf_dir() / group / f"{name}.yaml"
            table = _table(group.replace("/", "."), path)
            parts += [f"## {group}={name}\n", f"{line}.\n", *table]
    return "\n".join(parts)


def choices_page() -> str:
    """Returns the page of all choices of every group, each with what it is."""
    parts = [CHOICES]
    for group in GROUPS:
        found = HYDRAS.get(group, {}) | choices(conf_dir(), group)
        table = [f"| `{group}={name}` | {line} |" for name, line in found.items()]
        parts += [f"## {group}\n", "| choice | what |", "| --- | --- |", *table, ""]
    return "\n".join(parts)


def _table(group: str, path: Path) -> list[str]:
    found = list(rows(group, path))
    if not found:
        return ["No keys of its own.\n"]
    return ["| key | default | values | meaning, unit and source |", "| --- | --- | --- | --- |", *found, ""]

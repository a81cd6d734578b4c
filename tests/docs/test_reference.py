"""The reference names every key of conf and of result.json, with what the classes and the files say of it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from documents import text_of
from key_reference import choices_page, keys_of, kind, reference, rows

from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.help_text import GROUPS
from hnet_cl.core.settings import TaskCount
from hnet_cl.records.run_result import KEYS
from hnet_cl.training.trainer import TrainingSettings

FILES = [
    path
    for path in sorted(conf_dir().rglob("*.yaml"))
    if not {"preset", "recipe", "experiment"} & {*path.relative_to(conf_dir()).parts}
]


def leaves(node: Any, above: str = "") -> Iterator[str]:
    """The dotted names of all values, except for those that are no keys of a user's."""
    for name, value in node.items():
        path = f"{above}{name}"
        if name in ("defaults", "_target_", "name", "kind"):
            continue
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{path}.")
        else:
            yield path


def test_every_key_of_every_file_is_read() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        found = {key.name for key in keys_of(text)}
        for name in leaves(yaml.safe_load(text) or {}):
            assert name in found or any(name.startswith(f"{key}.") for key in found), (path, name)


def test_every_choice_has_its_keys_and_what_it_is() -> None:
    keys, page = reference(), choices_page()
    for group in GROUPS:
        for name, line in choices(conf_dir(), group).items():
            assert f"| `{group}={name}` | {line} |" in page
            assert group == "experiment" or f"\n## {group}={name}\n" in keys


def test_a_row_has_default_type_meaning_and_source() -> None:
    (row,) = [row for row in rows("", conf_dir() / "config.yaml") if "`training.validation`" in row]
    assert row == (
        "| `training.validation` | `0.0` | number from 0 below 1 | "
        "share of the training data to test on instead of the test data, for choosing settings |"
    )
    text = reference()
    assert "| `method.gamma` | `1.0` | number from 0 to 1 | share of the old Fisher information" in text
    assert "| `method.generator.latent` | `100` | whole number above 0 | dimension of z (official code) |" in text
    assert "| `target.hidden` | `[400, 400]` |" in text


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bool, "true or false"),
        (float | None, "number, or null"),
        (list[int], "list, each a whole number"),
        (TaskCount, "whole number above 0 to 10000"),
    ],
)
def test_types_in_words(annotation: Any, words: str) -> None:
    assert kind(annotation) == words


def test_the_training_settings_are_all_there() -> None:
    text = reference()
    assert not [name for name in TrainingSettings.model_fields if f"| `training.{name}` |" not in text]


def test_every_key_of_result_json_is_explained() -> None:
    table = text_of("docs/reference/result_json.md").partition("| key | meaning |")[2]
    named = set(re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))
    assert named == set(KEYS)

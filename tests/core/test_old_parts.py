"""Configurations of versions in which a word chose what a class chooses now."""

from typing import Any

import pytest

from hnet_cl.core.importing import import_named
from hnet_cl.core.old_parts import TASK_INFERENCE, chosen_by, with_classes, with_words
from hnet_cl.methods.parts.inference import TaskInference


def config(part: Any) -> dict[str, Any]:
    return {"seed": 1, "method": {"name": "hnet", "task_inference": part}}


@pytest.mark.parametrize(("word", "path"), TASK_INFERENCE.items())
def test_a_word_stands_for_a_class_of_today(word: str, path: str) -> None:
    old, new = config({"kind": word, "temperature": 2.0}), config({"_target_": path, "temperature": 2.0})
    assert with_classes(old) == new and with_words(new) == old
    assert with_classes(new) == new and with_words(old) == old
    assert issubclass(import_named(path, ""), TaskInference)


@pytest.mark.parametrize("part", [None, "entropy", 3, {}, {"kind": "guess"}, {"kind": ["given"]}, {"_target_": ["a"]}])
def test_all_else_stays(part: Any) -> None:
    assert with_classes(config(part)) == with_words(config(part)) == config(part)


@pytest.mark.parametrize("whole", [{}, {"method": None}, {"method": "hnet"}, {"method": {"name": "ewc"}}])
def test_methods_without_such_a_part_stay(whole: dict[str, Any]) -> None:
    assert with_classes(whole) == with_words(whole) == whole


def test_the_old_key_is_named_with_what_to_type() -> None:
    assert chosen_by("method.task_inference.kind") == "method/task_inference=NAME"
    assert chosen_by("method.generator.kind") is None

"""Parts of a configuration that are now chosen by a class path and were chosen by a word in earlier versions.

Runs of those versions are found by ids that hash the words, and their folders contain configurations with them.
"""

from collections.abc import Callable, Mapping
from typing import Any

TARGET = "_target_"
WORD = "kind"
GROUP = "method/task_inference"
TASK_INFERENCE = {
    "given": "hnet_cl.methods.parts.inference.Given",
    "entropy": "hnet_cl.methods.parts.inference.Entropy",
    "classifier": "hnet_cl.methods.parts.task_classifier.TaskClassifier",
}
WORDS = {path: word for word, path in TASK_INFERENCE.items()}


def with_words(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration of this version with words in place of class paths, where the old form had such words."""
    return _changed(config, lambda part: _replaced(part, TARGET, WORD, WORDS))


def with_classes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration of any version with class paths in place of words."""
    return _changed(config, lambda part: _replaced(part, WORD, TARGET, TASK_INFERENCE))


def chosen_by(key: str) -> str | None:
    """Returns the override that has replaced a dotted key for a word, as typed; None if the key is not such a one."""
    return f"{GROUP}=NAME" if key == f"{GROUP.replace('/', '.')}.{WORD}" else None


def _changed(config: Mapping[str, Any], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> dict[str, Any]:
    """Applies `change` to `method.task_inference`, if the configuration has it."""
    method = config.get("method")
    part = method.get("task_inference") if isinstance(method, Mapping) else None
    if not (isinstance(method, Mapping) and isinstance(part, Mapping)):
        return dict(config)
    return {**config, "method": {**method, "task_inference": change(part)}}


def _replaced(part: Mapping[str, Any], old: str, new: str, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Replaces the key `old` of a part by `new`, and its value as `values` says; leaves other parts unchanged."""
    said = part.get(old)
    if not isinstance(said, str) or said not in values or new in part:
        return part
    return {new if key == old else key: values[said] if key == old else value for key, value in part.items()}

"""Parts of a configuration that a class chooses by now, and that earlier versions chose by a word.

Runs of these versions are found by ids made of the words, and their folders hold configurations with these.
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
    """Returns a configuration of this version as the first one would have written it, as far as it could."""
    return _changed(config, lambda part: _replaced(part, TARGET, WORD, WORDS))


def with_classes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration of any version as this one would have written it."""
    return _changed(config, lambda part: _replaced(part, WORD, TARGET, TASK_INFERENCE))


def chosen_by(key: str) -> str | None:
    """Returns what a dotted key that holds a word was replaced by, as it is typed; None if it was not."""
    return f"{GROUP}=NAME" if key == f"{GROUP.replace('/', '.')}.{WORD}" else None


def _changed(config: Mapping[str, Any], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> dict[str, Any]:
    """The configuration with another `method.task_inference`, where it has one."""
    method = config.get("method")
    part = method.get("task_inference") if isinstance(method, Mapping) else None
    if not (isinstance(method, Mapping) and isinstance(part, Mapping)):
        return dict(config)
    return {**config, "method": {**method, "task_inference": change(part)}}


def _replaced(part: Mapping[str, Any], old: str, new: str, values: Mapping[str, str]) -> Mapping[str, Any]:
    """A part that says by the key `new` what it has said by `old`, if that is one of `values`."""
    said = part.get(old)
    if not isinstance(said, str) or said not in values or new in part:
        return part
    return {new if key == old else key: values[said] if key == old else value for key, value in part.items()}

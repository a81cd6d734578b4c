"""What was typed and has no effect in the run that it was typed for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hnet_cl.core.plain_text import shown


def without_effect(overrides: Sequence[str], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each override whose key does not count with the other settings of the run.

    Args:
        overrides: as typed.
        settings: the resolved configuration.
    """
    for override in overrides:
        key = override.lstrip("+").partition("=")[0]
        if reason := _reason(key.replace("/", "."), settings):
            yield f"{shown(override)}: has no effect {reason}."


def _reason(key: str, settings: Mapping[str, Any]) -> str | None:
    method, training, scenario = settings["method"], settings["training"], settings["scenario"]
    if key.startswith("method.task_inference") and scenario["task_known"]:
        return f"with scenario={scenario['name']}, where the task is given at test time"
    if key.startswith("training.lora_") and "lora" not in str(training["parameters"]):
        return "without training.parameters=lora"
    if key.startswith("method.held") and method.get("weights") == "frozen":
        return "with method.weights=frozen"
    return None

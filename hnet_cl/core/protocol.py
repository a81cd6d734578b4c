"""How many test images decide together on their task: a protocol of its own, which names of scenarios tell."""

from collections.abc import Mapping
from typing import Any

IMAGES = "images_per_decision"  # key of the rules that infer tasks


def protocol(config: Mapping[str, Any]) -> str:
    """Returns what follows the scenario's name in a resolved configuration: `_10_images_per_decision`, or nothing.

    It is nothing where images decide alone, or the task is given.
    """
    scenario, number = config.get("scenario"), _rule(config).get(IMAGES)
    inferred = isinstance(scenario, Mapping) and scenario.get("task_known") is False
    return f"_{number}_{IMAGES}" if inferred and isinstance(number, int) and number > 1 else ""


def whole_decisions(batch_size: int, together: int) -> int:
    """Returns the size nearest below `batch_size` of batches that split no `together` inputs that decide together."""
    return max(1, batch_size // together) * together


def told_by(scenario: str) -> str:
    """Returns the name of a scenario if it tells of a protocol in which several images decide, or nothing."""
    return scenario if scenario.endswith(IMAGES) else ""


def deciding_alone(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a resolved configuration with one image per decision, if its rule has a number of them."""
    rule = _rule(config)
    if IMAGES not in rule:
        return dict(config)
    return {**config, "method": {**config["method"], "task_inference": {**rule, IMAGES: 1}}}


def _rule(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the settings of the task-inference rule; none if there is none, or they are not in order."""
    method = config.get("method")
    rule = method.get("task_inference") if isinstance(method, Mapping) else None
    return rule if isinstance(rule, Mapping) else {}

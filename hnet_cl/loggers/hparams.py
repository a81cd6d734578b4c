"""The settings of a run that tables of runs compare."""

from typing import Any

from hnet_cl.core.nested import flatten
from hnet_cl.records.run_state import RunState


def hparams(state: RunState) -> dict[str, Any]:
    """Returns choices, seed, and settings of training and method with dotted keys; no names and class paths."""
    chosen = {group: getattr(state.facts, group) for group in ("benchmark", "scenario", "method")}
    settings = flatten(state.config["training"]) | flatten(state.config["method"])
    numbers = {key: value for key, value in settings.items() if key.rpartition(".")[2] not in ("name", "_target_")}
    return chosen | {"seed": state.facts.seed} | numbers

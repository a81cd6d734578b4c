"""The settings of a run that are shown in tables of runs."""

from typing import Any

from hnet_cl.core.nested import flatten
from hnet_cl.records.run_state import RunState


def hparams(state: RunState) -> dict[str, Any]:
    """Returns choices, seed, and settings of training, method, optimiser and scheduler by dotted key.

    Names and class paths among the settings are left out.
    """
    chosen = {group: getattr(state.facts, group) for group in ("benchmark", "scenario", "method")}
    optimizers = {key: state.config.get(key) for key in ("optimizer", "lr_scheduler")}
    chosen |= {key: node["_target_"].rpartition(".")[2] if node else "none" for key, node in optimizers.items()}
    settings = flatten(state.config["training"]) | flatten(state.config["method"])
    for key, node in optimizers.items():
        settings |= flatten({key: node or {}})
    numbers = {key: value for key, value in settings.items() if key.rpartition(".")[2] not in ("name", "_target_")}
    return chosen | {"seed": state.facts.seed} | numbers

"""The settings of a run that are shown in tables of runs."""

from typing import Any

from hnet_cl.core.nested import flatten
from hnet_cl.records.run_state import RunState

GROUPS = ("method", "training", "optimizer", "lr_scheduler")  # whose settings are shown
UNSEEN = ("name", "_target_")  # last parts of keys that are no settings
RARELY_COMPARED = ("training.betas", "training.eval_batch_size", "training.log_every")
CHOICES = ("method", "scenario", "seed", "target")
FIRST = (*CHOICES, "training.lr", "method.strength")  # what one compares first


def hparams(state: RunState) -> dict[str, Any]:
    """Returns choices, seed, and all settings of training, method, optimiser and scheduler by the keys as typed.

    What one compares first comes first: method, scenario, seed, target, learning rate and strength. Names and class
    paths among the settings are left out, and so is what is rarely compared or has no effect on results.
    """
    chosen: dict[str, Any] = {key: getattr(state.facts, key) for key in CHOICES}
    settings: dict[str, Any] = {}
    for group in GROUPS:
        settings |= flatten({group: state.config.get(group) or {}})
    chosen |= {key: settings[key] for key in FIRST if key in settings}
    chosen |= {"benchmark": state.facts.benchmark, "dataset": state.facts.dataset}
    for group in ("optimizer", "lr_scheduler"):
        node = state.config.get(group)
        chosen[group] = node["_target_"].rpartition(".")[2] if node else "none"
    usual = {key: value for key, value in settings.items() if key.rpartition(".")[2] not in UNSEEN}
    return chosen | {key: value for key, value in usual.items() if key not in RARELY_COMPARED}

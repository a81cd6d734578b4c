"""The settings of a small search."""

from typing import Any

from hnet_cl.sweeps.settings import SearchSettings


def search_settings(storage: str, **changes: Any) -> SearchSettings:
    """Four trials drawn at random; one is dead after three seconds without a sign of life."""
    usual: dict[str, Any] = {
        "metric": "acc",
        "direction": "maximize",
        "n_trials": 4,
        "batch": 1,
        "seed": 1,
        "startup_trials": 10,
        "pruning": None,
        "heartbeat": 1,
        "study_name": None,
        "params": {},
    }
    return SearchSettings(storage=storage, **usual | changes)

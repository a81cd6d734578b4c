"""What tells one configuration from another."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hnet_cl.core.former_data import in_former_shape

# Which repetition it is, where it stands on disk, how it is started and how much it does at a time; the rest says what
# is computed.
NOT_COMPUTED = (
    "seed",
    "fresh",
    "debug",
    "checkpoint_every",
    "data_dir",
    "usual_dataset",
    "output_dir",
    "hydra",
    "training.eval_batch_size",
    "training.log_every",
    "device.graph",
)

# Every finished run and checkpoint is found by its id, so the id of a configuration must never change. What has
# been part of it stays part of it:
ALWAYS_HASHED = {"training.log_every": 100}  # not computed with, but hashed once: as if it had its old default
HASHED_NULLS = (  # elsewhere null does not count, so that a new key whose default is null changes no id
    "benchmark.num_tasks",
    "device.threads",
    "method.fisher_samples",
    "method.generator.pixel_noise",
    "method.generator.regularized_blocks",
    "method.generator.regularized_tasks",
    "method.new_weight",
    "method.regularized_blocks",
    "method.regularized_tasks",
    "method.task_inference.generator.pixel_noise",
    "method.task_inference.generator.regularized_blocks",
    "method.task_inference.generator.regularized_tasks",
    "training.epochs",
    "training.iterations",
)
# A key that is new and has another default belongs here, with the value that all runs before it had without saying so.
IMPLIED: Mapping[str, Any] = {}


def config_id(config: Mapping[str, Any], implied: Mapping[str, Any] = IMPLIED) -> str:
    """Returns eight hex digits that name what a resolved configuration computes, whatever its seed and place on disk.

    Args:
        config: the resolved configuration, nested.
        implied: dotted keys with the value at which they do not count.
    """
    computed = _hashed(without(in_former_shape(config), NOT_COMPUTED), implied)
    for key, value in ALWAYS_HASHED.items():
        group, _, name = key.rpartition(".")
        if isinstance(computed.get(group), dict):
            computed[group][name] = _number(value)
    return hashlib.sha256(json.dumps(computed, sort_keys=True).encode()).hexdigest()[:8]


def without(config: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The configuration without some keys, which may be dotted."""
    inner = {key: [k.removeprefix(f"{key}.") for k in keys if k.startswith(f"{key}.")] for key in config}
    return {
        key: without(value, inner[key]) if inner[key] and isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in keys
    }


def is_below(key: str, parents: Iterable[str]) -> bool:
    """Whether a dotted key is one of `parents` or inside of one."""
    return any(key == parent or key.startswith(f"{parent}.") for parent in parents)


def _hashed(node: Mapping[str, Any], implied: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What of a configuration counts."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        path = f"{prefix}{key}"
        neutral = (value is None and path not in HASHED_NULLS) or (path in implied and implied[path] == value)
        if not neutral:
            found[key] = _hashed(value, implied, f"{path}.") if isinstance(value, Mapping) else _number(value)
    return found


def _number(value: Any) -> Any:
    """1 and 1.0 are the same setting."""
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _number(item) for key, item in value.items()}
    is_number = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 1000  # more is refused
    return float(value) if is_number else value

"""What tells one configuration from another."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Which repetition it is, where it stands on disk, how it is started and how much it does at a time; the rest says what
# is computed.
NOT_COMPUTED = (
    "seed",
    "fresh",
    "debug",
    "checkpoint_every",
    "data_dir",
    "output_dir",
    "hydra",
    "training.eval_batch_size",
    "device.graph",
)


def config_id(config: Mapping[str, Any]) -> str:
    """Eight hex digits that name what a resolved configuration computes, whatever its seed and place on disk."""
    computed = _numbers_alike(without(config, NOT_COMPUTED))
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


def _numbers_alike(value: Any) -> Any:
    """1 and 1.0 are the same setting."""
    if isinstance(value, Mapping):
        return {key: _numbers_alike(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers_alike(item) for item in value]
    is_number = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 1000  # more is refused
    return float(value) if is_number else value

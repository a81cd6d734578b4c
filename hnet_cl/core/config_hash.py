"""Ids of configurations: hashes of everything that determines what a run computes."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hnet_cl.core.older import as_before

# Keys that are not part of an id: the repetition, places on disk, how a run is started and how much it does at a time.
# All others determine what is computed.
NOT_COMPUTED = (
    "seed",
    "fresh",
    "debug",
    "checkpoint_every",
    "data_dir",
    "usual_dataset",
    "usual_base",
    "output_dir",
    "hydra",
    "logger",
    "benchmark.fisher_samples",  # methods that use these two have keys of their own with the values
    "benchmark.pixel_noise",
    "training.eval_batch_size",
    "training.initial_weights",  # the checksum of the file counts
    "training.log_every",
    "device.graph",
)

# Every finished run and checkpoint is found by its id, so the id of a configuration must never change. Keys that were
# once hashed are hashed for ever:
ALWAYS_HASHED = {"training.log_every": 100}  # does not affect results; hashed with its old default
HASHED_NULLS = (  # other keys that are null are not hashed, so that a new key whose default is null changes no id
    "benchmark.num_tasks",
    "device.threads",
    "method.base",
    "method.fisher_samples",
    "method.generator.pixel_noise",
    "method.generator.regularized_blocks",
    "method.generator.regularized_tasks",
    "method.generator.update",
    "method.new_weight",
    "method.regularized_blocks",
    "method.regularized_tasks",
    "method.task_inference.generator.pixel_noise",
    "method.task_inference.generator.regularized_blocks",
    "method.task_inference.generator.regularized_tasks",
    "method.task_inference.generator.update",
    "method.update",
    "training.epochs",
    "training.iterations",
)
# A new key whose default is not null belongs here, with the value that corresponds to all earlier runs.
HYPERNETS = ("method", "method.generator", "method.task_inference.generator")
IMPLIED: Mapping[str, Any] = {
    **dict.fromkeys((f"{part}.hypernet.old_embeddings" for part in HYPERNETS), "frozen"),
    **dict.fromkeys((f"{part}.hypernet.init" for part in HYPERNETS), "xavier"),
    "optimizer._target_": "torch.optim.Adam",
    "optimizer.weight_decay": 0.0,
    "training.eval_every": 10,
    "training.log_variance": [-10.0, 0.5],
    "training.lora_layers": "*",
    "training.lora_rank": 4,
    "training.lora_scale": 1.0,
    "training.parameters": "all",
}


def config_id(config: Mapping[str, Any], implied: Mapping[str, Any] = IMPLIED) -> str:
    """Returns eight hex digits that identify what a resolved configuration computes, independent of seed and folders.

    Args:
        config: the resolved configuration, nested.
        implied: dotted keys, each with the value at which it is not hashed.
    """
    computed = _hashed(without(as_before(config), NOT_COMPUTED), implied)
    for key, value in ALWAYS_HASHED.items():
        group, _, name = key.rpartition(".")
        if isinstance(computed.get(group), dict):
            computed[group][name] = _number(value)
    return hashlib.sha256(json.dumps(computed, sort_keys=True).encode()).hexdigest()[:8]


def without(config: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Returns the configuration without `keys`, which may be dotted."""
    inner = {key: [k.removeprefix(f"{key}.") for k in keys if k.startswith(f"{key}.")] for key in config}
    return {
        key: without(value, inner[key]) if inner[key] and isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in keys
    }


def is_below(key: str, parents: Iterable[str]) -> bool:
    """Tells whether a dotted key is one of `parents` or below one of them."""
    return any(key == parent or key.startswith(f"{parent}.") for parent in parents)


def _hashed(node: Mapping[str, Any], implied: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the part of a configuration that is hashed."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        path = f"{prefix}{key}"
        absent = value is None and path not in HASHED_NULLS and path not in implied
        neutral = absent or (path in implied and implied[path] == value)
        if not neutral:
            counts = _hashed(value, implied, f"{path}.") if isinstance(value, Mapping) else _number(value)
            if counts != {} or not any(is_below(one, [path]) for one in implied):
                found[key] = counts
    return found


def _number(value: Any) -> Any:
    """Converts integers to floats, so that 1 and 1.0 are the same setting."""
    if isinstance(value, list):
        return [_number(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _number(item) for key, item in value.items()}
    is_number = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 1000  # more is refused
    return float(value) if is_number else value

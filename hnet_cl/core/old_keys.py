"""Keys of the configuration that earlier versions called otherwise or did not have.

Runs of these versions are found by ids over the old names, and their folders hold configurations with these.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hnet_cl.core import former_data, old_parts, old_regularizers


class Renamed(NamedTuple):
    """A key that was called `old` and is called `new` where it stands beside `beside`, at any depth."""

    beside: str
    old: str
    new: str


ADAM = {"_target_": "torch.optim.Adam", "weight_decay": 0.0}  # the optimiser of all runs before there was a choice
RENAMED = (Renamed(beside="hypernet", old="beta", new="strength"),)
# Keys that runs before them had without saying so, as dotted paths or below a key of that name at any depth.
ADDED: Mapping[str, Mapping[str, Any]] = {
    "benchmark": {"pixel_noise": None, "fisher_samples": None},
    "hypernet": {"compression": None},
    "training": {"gradient_clip_norm": None},
}


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a resolved configuration of any version as this one would have written it; the argument stays."""
    with_classes = old_parts.with_classes(old_regularizers.with_classes(former_data.in_todays_shape(config)))
    renamed: dict[str, Any] = _renamed(with_classes)
    return {"optimizer": ADAM, "lr_scheduler": None} | renamed


def as_before(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a resolved configuration with words in place of classes, as the first version that had them wrote it.

    Ids are made of that, with each key under its `old_name`.
    """
    return former_data.in_former_shape(old_parts.with_words(old_regularizers.with_words(config)))


def _renamed(config: Any) -> Any:
    """The configuration with the names of this version, and the keys that runs before these had without saying so."""
    if not isinstance(config, Mapping):
        return config
    node = {_new_name(key, config): _renamed(value) for key, value in config.items()}
    for key, added in ADDED.items():
        if isinstance(inner := node.get(key), dict):
            node[key] = {**added, **inner}
    return node


def old_name(key: str, node: Mapping[str, Any]) -> str:
    """Returns what the key of a mapping was called in the first version that had it; ids are made of that."""
    return next((one.old for one in RENAMED if key == one.new and one.beside in node), key)


def new_key(dotted: str) -> str | None:
    """Returns what a dotted key of the method is called now; None if it was not renamed."""
    parent, _, last = dotted.rpartition(".")
    known = parent.split(".")[0] == "method"
    return next((f"{parent}.{one.new}" for one in RENAMED if known and last == one.old), None)


def _new_name(key: str, node: Mapping[str, Any]) -> str:
    """The name that a key has now, unless that is taken."""
    return next((one.new for one in RENAMED if key == one.old and one.beside in node and one.new not in node), key)

"""Keys of the configuration that had other names in earlier versions or did not exist.

Runs of those versions are found by ids that hash the old names, and their folders contain configurations with them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hnet_cl.core import former_data, old_parts, old_regularizers


class Renamed(NamedTuple):
    """A key `old` that is now called `new` in every mapping, at any depth, that also has the key `beside`."""

    beside: str
    old: str
    new: str


ADAM = {"_target_": "torch.optim.Adam", "weight_decay": 0.0}  # the optimiser of all runs before it could be chosen
RENAMED = (Renamed(beside="hypernet", old="beta", new="strength"),)
# Keys that were added later, below a key of the given name at any depth, with the values that earlier runs imply.
ADDED: Mapping[str, Mapping[str, Any]] = {
    "benchmark": {"pixel_noise": None, "fisher_samples": None},
    "hypernet": {"compression": None},
    "training": {"gradient_clip_norm": None},
}


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a resolved configuration of any version in the form of this one; the argument is not changed."""
    with_classes = old_parts.with_classes(old_regularizers.with_classes(former_data.in_todays_shape(config)))
    renamed: dict[str, Any] = _renamed(with_classes)
    return {"optimizer": ADAM, "lr_scheduler": None} | renamed


def as_before(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a resolved configuration in its oldest form, with words in place of class paths.

    Ids are hashes of that form, with each key under its `old_name`.
    """
    return former_data.in_former_shape(old_parts.with_words(old_regularizers.with_words(config)))


def _renamed(config: Any) -> Any:
    """Returns the configuration with today's names and with the keys that were added later."""
    if not isinstance(config, Mapping):
        return config
    node = {_new_name(key, config): _renamed(value) for key, value in config.items()}
    for key, added in ADDED.items():
        if isinstance(inner := node.get(key), dict):
            node[key] = {**added, **inner}
    return node


def old_name(key: str, node: Mapping[str, Any]) -> str:
    """Returns the name of a mapping's key in the first version that had it, which is the one that ids hash."""
    return next((one.old for one in RENAMED if key == one.new and one.beside in node), key)


def new_key(dotted: str) -> str | None:
    """Returns today's name of a dotted key of the method; None if it was not renamed."""
    parent, _, last = dotted.rpartition(".")
    known = parent.split(".")[0] == "method"
    return next((f"{parent}.{one.new}" for one in RENAMED if known and last == one.old), None)


def _new_name(key: str, node: Mapping[str, Any]) -> str:
    """Returns today's name of a key, or the key itself if it was not renamed or the new name is taken."""
    return next((one.new for one in RENAMED if key == one.old and one.beside in node and one.new not in node), key)

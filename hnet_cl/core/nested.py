"""Nested mappings, such as configurations and results."""

from collections.abc import Mapping
from typing import Any


def flatten(node: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens nested mappings into one with dotted keys, each beginning with `prefix`."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

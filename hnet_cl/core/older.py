"""Configurations of older versions, as run folders hold them."""

from collections.abc import Mapping
from typing import Any

ADAM = {"_target_": "torch.optim.Adam", "weight_decay": 0.0}


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration with the keys that came later, at the values that runs before them had."""
    whole = {"optimizer": ADAM, "lr_scheduler": None} | dict(config)
    if isinstance(training := whole.get("training"), Mapping):
        whole["training"] = {"gradient_clip_norm": None} | dict(training)
    return whole

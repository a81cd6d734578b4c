"""Frozen copies of modules."""

from typing import Any

import torch
from torch import nn

from hnet_cl.hypernet import copied


class Snapshot:
    """A frozen copy of a module at the time of construction, in evaluation mode and without gradients.

    It is not an `nn.Module`, so it is not in any `state_dict`; one made in `begin_task` is made again when a run
    continues.

    Raises:
        TypeError: the module cannot be copied.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = copied(module).eval()

    @torch.no_grad()
    def __call__(self, *arguments: Any) -> Any:
        """Calls the copy and returns its output, without gradients."""
        return self._module(*arguments)

"""What a module was at some moment."""

from typing import Any

import torch
from torch import nn

from hnet_cl.hypernet import copied


class Snapshot:
    """A copy of a module as it is now, in evaluation mode and without gradients.

    It is no module itself, so it is in no state: who keeps one in `begin_task` makes it again when a run continues.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = copied(module).eval()

    @torch.no_grad()
    def __call__(self, *arguments: Any) -> Any:
        """What the module would have returned."""
        return self._module(*arguments)

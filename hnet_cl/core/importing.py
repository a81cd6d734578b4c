"""Imports of objects that yaml names: errors become one line, and torchvision works beside any build of torch."""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from hnet_cl.core.errors import Interrupted, UserError, described


def import_named(path: str, key: str) -> Any:
    """Imports the object at a dotted path; `key` is the key where the user wrote it, for messages.

    Raises:
        UserError: it cannot be imported, or its module raises any error.
    """
    heal_torchvision()
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (KeyboardInterrupt, Interrupted):
        raise
    except BaseException as error:  # third-party modules may do anything, even call sys.exit
        reason = described(error)
        if isinstance(error, ImportError | AttributeError):
            reason = reason.removeprefix(f"{type(error).__name__}: ")
        raise UserError(f"{key}={path}: cannot be imported ({reason})") from error


def heal_torchvision() -> None:
    """Makes `import torchvision` work beside a torch that cannot load its compiled operators.

    A torchvision built for CUDA beside a torch for CPU only (what a registry's default wheels give on a machine
    without a GPU) stops at its import with `operator torchvision::nms does not exist`. Only the module
    `torchvision._meta_registrations`, which describes those operators to torch's compiler, needs them at import, so
    an empty module takes its place. The operators themselves (non-maximum suppression, image decoding) stay missing.
    """
    if not any(isinstance(finder, _EmptyRegistrations) for finder in sys.meta_path):
        sys.meta_path.insert(0, _EmptyRegistrations())


class _EmptyRegistrations(MetaPathFinder, Loader):
    """Finds an empty `torchvision._meta_registrations` if torchvision has failed to load its operators."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "torchvision._meta_registrations":
            return None
        import torch  # torchvision has imported it by now

        return None if hasattr(torch.ops.torchvision, "nms") else ModuleSpec(name, self)

    def exec_module(self, module: ModuleType) -> None:
        """Leaves the module empty."""

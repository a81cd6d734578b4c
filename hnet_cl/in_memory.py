"""Arrays and networks of a running program as what a configuration can name: a folder, and the path of a class."""

import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from hnet_cl.core.atomic_files import replace_file
from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import copied

MODULE = "hnet_cl_in_memory"  # holds the networks that no file has; runs of this process alone can import it
DIGITS = 8  # of a hash in a name


def write_arrays(inputs: Any, labels: Any, folder: Path) -> Path:
    """Writes two arrays to `X.npy` and `y.npy` in a folder below `folder`, named after their content.

    Args:
        inputs: (n, ...) examples, an array or a tensor.
        labels: (n,) whole numbers.
        folder: where; made if needed.

    Returns:
        the folder of the two files; the same for the same arrays.

    Raises:
        UserError: they are no arrays of as many entries.
        OSError: the files cannot be written.
    """
    arrays = {"X": _array(inputs, "X"), "y": _array(labels, "y")}
    if len({len(array) for array in arrays.values()}) > 1:
        raise UserError(f"X, y: have {len(arrays['X'])} and {len(arrays['y'])} entries; give a label for each example")
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    made = folder / f"arrays-{digest.hexdigest()[:DIGITS]}"
    made.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        if not (made / f"{name}.npy").exists():
            with replace_file(made / f"{name}.npy") as part:
                np.save(part, array)
    return made


def _array(values: Any, name: str) -> np.ndarray:
    """Converts a tensor or nested lists to an array.

    Raises:
        UserError: it holds no numbers, or a single one.
    """
    values = values.detach().cpu() if hasattr(values, "detach") else values  # a tensor of torch
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise UserError(f"{name}: is no array ({error})") from error
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        raise UserError(f"{name}: is {array.dtype} of shape {array.shape}; give an array of numbers, an entry each")
    return array


def network_path(network: Any) -> str:
    """Returns the path by which a configuration names a network.

    A class or function that can be imported has one. Others (of a notebook, or made inside a function) and instances
    get one that is valid in this process alone, with a hash of what they are. An instance is copied each time: its
    weights are the initial ones wherever a method has a network of its own.

    Args:
        network: a dotted path, a class derived from `nn.Module`, a function that returns a network, or a network.

    Raises:
        UserError: it is something else.
    """
    if isinstance(network, str):
        return network
    if isinstance(network, nn.Module):
        return _registered(type(network), _maker(network), _digest(network))
    if not callable(network):
        raise UserError(f"network={network!r}: give a network, its class, or the path of that")
    path = f"{network.__module__}.{network.__qualname__}"
    if network.__module__ != "__main__" and path.replace(".", "").isidentifier():
        return path
    return _registered(network, network, _digest(network))


def _maker(network: nn.Module) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        return copied(network)

    return make


def _digest(network: Any) -> str:
    """Returns a hash of a network's source, if there is one, and, of an instance, of its form and values."""
    instance = isinstance(network, nn.Module)
    kind = type(network) if instance else network
    digest = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__}".encode())
    try:
        digest.update(inspect.getsource(kind).encode())
    except (OSError, TypeError):  # typed into Python itself
        digest.update(repr(vars(kind).keys()).encode())
    if instance:
        digest.update(repr(network).encode())
        for name, tensor in network.state_dict().items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
    return digest.hexdigest()[:DIGITS]


def _registered(kind: Any, build: Callable[..., nn.Module], digest: str) -> str:
    module = sys.modules.setdefault(MODULE, ModuleType(MODULE))
    name = f"{re.sub(r'[^0-9A-Za-z_]', '_', kind.__name__)}_{digest}"
    setattr(module, name, build)
    return f"{MODULE}.{name}"

"""Helpers for checks, whose messages are one line that says what was found and what is expected."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from hnet_cl.core.capacity import out_of_memory
from hnet_cl.core.errors import UserError, first_line


def expect(good: bool, where: str, found: str, expected: str) -> None:
    """Raises an error unless `good`.

    Raises:
        UserError: not `good`; the message says where, what was found and what was expected.
    """
    if not good:
        raise UserError(f"{where}: {found}; expected {expected}")


def attempt(where: str, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Returns the result of `call(*arguments)` and turns its errors into one-line messages.

    Args:
        where: where the call was configured, as the message's beginning.
        what: name of the call in the message.
        call: the function.
        arguments: its arguments.

    Raises:
        UserError: the call raised an error other than the following.
        OSError, MemoryError, torch.OutOfMemoryError: raised by the call and passed on, as are other errors that mean
            out of memory.
    """
    try:
        return call(*arguments)
    except (UserError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        kind, said = type(error).__name__, first_line(error)
        text = kind if said == kind else f"{kind}: {said}"
        raise UserError(f"{where}: {what} raises {text}; debug=true shows where") from error


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Returns the names of tensors that contain NaN or infinity; if none does, the device is synchronised only once."""
    sums = [tensor.sum(dtype=torch.float64) for tensor in tensors.values()]
    if not sums or bool(torch.stack(sums).isfinite().all()):
        return []
    return [name for name, tensor in tensors.items() if not tensor.isfinite().all()]


def kind_of(value: Any) -> str:
    """Describes the type of a value for a message, e.g. "a str"."""
    return "None" if value is None else f"a {type(value).__name__}"


def shape_of(tensor: Tensor) -> str:
    """Describes the dtype and shape of a tensor for a message, e.g. "float32 of shape (2, 3)"."""
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"

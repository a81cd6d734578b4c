"""What checks have in common: one line that says what was found and what is expected."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from hnet_cl.core.capacity import out_of_memory
from hnet_cl.core.errors import UserError, first_line


def expect(good: bool, where: str, found: str, expected: str) -> None:
    """Refuses what is not `good`.

    Raises:
        UserError: the line says where it is, what was found and what was expected.
    """
    if not good:
        raise UserError(f"{where}: {found}; expected {expected}")


def attempt(where: str, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what `call(*arguments)` returns; `what` names it.

    Raises:
        UserError: it has raised something else.
        OSError, MemoryError, torch.OutOfMemoryError: as they are, since they say more than where they came from.
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
    """Returns the names of tensors that hold NaN or infinity; one look from the device tells whether there are any."""
    sums = [tensor.sum(dtype=torch.float64) for tensor in tensors.values()]
    if not sums or bool(torch.stack(sums).isfinite().all()):
        return []
    return [name for name, tensor in tensors.items() if not tensor.isfinite().all()]


def kind_of(value: Any) -> str:
    """Names the type of a value, for people."""
    return "None" if value is None else f"a {type(value).__name__}"


def shape_of(tensor: Tensor) -> str:
    """Names type and shape of a tensor's numbers, for people."""
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"

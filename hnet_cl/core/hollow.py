"""Modules without values, which take no memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

ALIKE: tuple[Any, ...] = (torch.empty_like, torch.zeros_like, torch.ones_like)
RANDOM: tuple[Any, ...] = (Tensor.normal_, Tensor.uniform_)


@contextmanager
def hollow() -> Iterator[None]:
    """Makes new tensors inside on torch's meta device, and leaves out what would fill them.

    PyTorch itself fills meta tensors by reference implementations in Python, whose import, with that of SymPy and of
    the compiler, takes longer than all else that a short run does.
    """
    with torch.device("meta"), _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options: dict[str, Any] = dict(kwargs or {})
        first = args[0] if args else options.get("tensor")
        if isinstance(first, Tensor) and first.is_meta:
            if func in RANDOM or getattr(func, "__module__", "") == "torch.nn.init":
                return first
            if func in ALIKE and set(options) <= {"device", "dtype"}:
                return torch.empty(first.shape, **{"dtype": first.dtype, "device": "meta", **options})
        return func(*args, **options)

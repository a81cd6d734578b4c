"""Copies of modules, whatever these keep."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def copied(module: Module, instead: Mapping[int, Any] | None = None) -> Module:
    """A deep copy of a module, with other objects in place of those whose `id` is a key of `instead`.

    `copy.deepcopy` refuses tensors with a history, such as activations that a module keeps of its last forward pass;
    the copy has their values alone.

    Raises:
        TypeError: the module keeps something that cannot be copied, such as an open file.
    """
    memo = dict(instead or {})
    for tensor in _tensors(module, set()):
        if not tensor.is_leaf:
            memo.setdefault(id(tensor), tensor.detach().clone())
    return copy.deepcopy(module, memo)


def _tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """All tensors in modules and containers, to any depth, each once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from _tensors(vars(value), seen)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part, seen)
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from _tensors(part, seen)

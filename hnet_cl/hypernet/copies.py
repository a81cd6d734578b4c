"""Deep copies of modules, also of those that store activations or other tensors with a history."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def copied(module: Module, instead: Mapping[int, Any] | None = None) -> Module:
    """Returns a deep copy of a module, with the values of `instead` in place of the objects whose `id` is the key.

    `copy.deepcopy` refuses tensors with an autograd history, such as activations that a module stores in its forward
    pass; the copy has only their values.

    Raises:
        TypeError: the module keeps something that cannot be copied, such as an open file.
    """
    memo = dict(instead or {})
    for tensor in _tensors(module, set()):
        if not tensor.is_leaf:
            memo.setdefault(id(tensor), tensor.detach().clone())
    return copy.deepcopy(module, memo)


def aliased(module: nn.Module) -> set[str]:
    """Returns the names of the parameters that share memory with another tensor that the module keeps.

    Only tensors that are neither a parameter nor a buffer of the module count as other tensors.
    """
    registered = {id(tensor) for tensor in (*module.parameters(), *module.buffers())}
    others = {_memory(tensor) for tensor in _tensors(module, set()) if id(tensor) not in registered}
    return {name for name, p in module.named_parameters() if p.numel() and _memory(p) in others}


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """Yields all tensors in modules and containers, at any depth, each once."""
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

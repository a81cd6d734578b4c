"""The bytes that a learner keeps of the tasks so far. A part of methods."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

EXTRA = "_extra_state"  # the end of the names of extra states in a `state_dict`
EMBEDDINGS = "task_embeddings"
OPTIMIZER = {"state", "param_groups"}  # the keys of an optimiser's state


def state_bytes(learner: nn.Module) -> dict[str, int]:
    """Computes the bytes of all tensors in a learner's `state_dict` but those of optimisers, by part.

    A part is an attribute of the learner, or a key of its extra state; numbered buffers (`omega_0`, `omega_1`) are one
    part, and so are all task embeddings. A tensor that has several names counts once.
    """
    found: dict[str, int] = {}
    seen: set[int] = set()
    for path, tensor in _tensors(learner.state_dict()):
        memory = tensor.untyped_storage().data_ptr()
        if tensor.numel() and memory not in seen:
            seen.add(memory)
            part = EMBEDDINGS if EMBEDDINGS in path else re.sub(r"_\d+$", "", path[0])
            found[part] = found.get(part, 0) + tensor.nbytes
    return found


def _tensors(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Yields all tensors in nested mappings and lists with their paths, without the states of optimisers."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        if not value.keys() >= OPTIMIZER:
            for key, part in value.items():
                yield from _tensors(part, path + tuple(name for name in str(key).split(".") if name != EXTRA))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part, path)

"""A learner that goes on where one of fewer tasks has ended. A part of methods."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Learner


@torch.no_grad()
def go_on_from(learner: Learner, former: Learner) -> None:
    """Lets a new learner go on where `former` has ended, which was one of the first of its tasks.

    Each part of the state is taken over. What has gained entries for new tasks or outputs, at its end, keeps those of
    the new learner there, which are initial values.

    Raises:
        UserError: a part of the state has another form, so that it cannot be told where its numbers belong.
    """
    state, sizes = learner.state_dict(), set()
    parts = {path: part for path, part in learner.named_modules() if isinstance(part, Learner)}
    for path, part in parts.items():
        sizes |= set(zip(former.get_submodule(path).growing, part.growing, strict=True))  # type: ignore[arg-type]
    for name, value in former.state_dict().items():
        if name not in state:
            raise UserError(f"there is no {name} among more tasks")
        state[name] = with_more(value, state[name], sizes, name) if isinstance(value, Tensor) else value
    for path, part in parts.items():
        state[f"{path}._extra_state".lstrip(".")] = part.extra_state_after(former.get_submodule(path))
    learner.load_state_dict(state)


def with_more(value: Tensor, initial: Tensor, sizes: set[tuple[int, int]], name: str) -> Tensor:
    """Returns `value` with the entries of `initial` in place of those that it lacks at its end.

    Args:
        value: what was learned.
        initial: of the same shape, or larger in one dimension.
        sizes: pairs of a size before and after; the dimension must have one of these.
        name: what it is, for the message.

    Raises:
        UserError: it does not.
    """
    if value.shape == initial.shape:
        return value
    dims = [dim for dim in range(min(value.dim(), initial.dim())) if value.shape[dim] != initial.shape[dim]]
    same_rank = value.dim() == initial.dim() and len(dims) == 1
    if not same_rank or (value.shape[dims[0]], initial.shape[dims[0]]) not in sizes:
        raise UserError(f"{name} has the shape {tuple(value.shape)}, and among more tasks {tuple(initial.shape)}")
    found = initial.clone()
    found.narrow(dims[0], 0, value.shape[dims[0]]).copy_(value)
    return found


def padded(value: Tensor, shape: Sequence[int]) -> Tensor:
    """Returns a tensor of the given shape that has `value` in its first corner, and else zeros."""
    found = value.new_zeros(tuple(shape))
    found[tuple(slice(size) for size in value.shape)] = value
    return found


def optimizer_state_for(
    kept: Mapping[str, Any], before: Sequence[Tensor], now: Sequence[Tensor]
) -> dict[str, dict[Any, Any]]:
    """Returns the `state_dict` of an optimiser for weights that have gained entries; what it keeps of these is zero.

    So it is in a run that has them from the start, as they have had no gradients so far.

    Args:
        kept: its `state_dict` before.
        before: the weights that it moved.
        now: the same with more entries.
    """
    state = {}
    for number, values in kept["state"].items():
        old, new = before[number].shape, now[number].shape
        state[number] = {
            key: padded(value, new) if isinstance(value, Tensor) and value.shape == old else value
            for key, value in values.items()
        }
    return {**kept, "state": state}

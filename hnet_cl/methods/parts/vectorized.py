"""Many examples or tasks at once by `torch.func.vmap`, where it knows all operations of a network; else one by one.

Which of the two is tried before anything is trained, as vmap does not know every operation: recurrent layers, `.item()`
and everything else that looks at values, assignments by masks. A part of methods.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.func import vmap

from hnet_cl.core.errors import first_line
from hnet_cl.hypernet import TargetNetwork

CLOSE = 0.05  # of the largest number; arithmetic of low precision reaches a hundredth, mistakes are larger


def obstacle(fast: Callable[[], Sequence[Tensor]], plain: Callable[[], Sequence[Tensor]]) -> str | None:
    """Why the `fast` way to some tensors cannot stand for the `plain` one; None if it can, as it gives the same.

    Raises:
        Exception: what the plain way raises.
    """
    expected = plain()
    try:
        found = fast()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # vmap raises errors of many kinds, and a network does what it likes with its inputs
        return first_line(error).partition(". ")[0].rstrip(".")
    return None if all(map(_close, found, expected)) else "it gives other results"


def _close(found: Tensor, expected: Tensor) -> bool:
    if not expected.numel():
        return True
    scale = expected.nan_to_num().abs().max().item()
    return torch.allclose(found, expected, rtol=0, atol=CLOSE * scale, equal_nan=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, vmap does not say of which operations it makes a loop: nobody here can help it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        yield


def at_once(network: TargetNetwork, weights: Tensor, inputs: Tensor, buffers: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """Logits (T, b, n) for inputs (b, *in_shape) of a network with weights (T, N) and buffers (T,) of several tasks."""
    stacked = {name: torch.stack([own[name] for own in buffers]) for name in buffers[0]}
    with quiet():
        logits: Tensor = vmap(network, in_dims=(0, None, 0), randomness="error")(weights, inputs, stacked)
    return logits


def one_by_one(
    network: TargetNetwork, weights: Tensor, inputs: Tensor, buffers: Sequence[Mapping[str, Tensor]]
) -> Tensor:
    """The same, one task after another."""
    return torch.stack([network(w, inputs, own) for w, own in zip(weights, buffers, strict=True)])

"""Evaluation of several examples or tasks at once by `torch.func.vmap` if it supports the network, else one by one.

This is tried before anything is trained, as vmap does not support recurrent layers, `.item()` and other operations
that depend on values, or assignments by masks. A part of methods.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.func import vmap

from hnet_cl.core.errors import first_line
from hnet_cl.hypernet import TargetNetwork

CLOSE = 0.05  # relative to the largest number; errors of low-precision arithmetic reach 0.01, mistakes are larger


def obstacle(fast: Callable[[], Sequence[Tensor]], plain: Callable[[], Sequence[Tensor]]) -> str | None:
    """Explains why the `fast` computation cannot replace the `plain` one; returns None if their results agree.

    Raises:
        OutOfMemoryError: `fast` runs out of memory.
        Exception: any error that `plain` raises.
    """
    expected = plain()
    try:
        found = fast()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # vmap raises errors of many types, and a user's network can raise any error
        return first_line(error).partition(". ")[0].rstrip(".")
    return None if all(map(_close, found, expected)) else "it gives other results"


def _close(found: Tensor, expected: Tensor) -> bool:
    if not expected.numel():
        return True
    scale = expected.nan_to_num().abs().max().item()
    return torch.allclose(found, expected, rtol=0, atol=CLOSE * scale, equal_nan=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences vmap's warnings about operations that it runs as a slow loop, while inside."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
        yield


def at_once(network: TargetNetwork, weights: Tensor, inputs: Tensor, buffers: Sequence[Mapping[str, Tensor]]) -> Tensor:
    """Computes logits (T, b, n) of inputs (b, *in_shape) with the weights (T, N) and buffers (T of them) of T tasks."""
    stacked = {name: torch.stack([own[name] for own in buffers]) for name in buffers[0]}
    with quiet():
        logits: Tensor = vmap(network, in_dims=(0, None, 0), randomness="error")(weights, inputs, stacked)
    return logits


def one_by_one(
    network: TargetNetwork, weights: Tensor, inputs: Tensor, buffers: Sequence[Mapping[str, Tensor]]
) -> Tensor:
    """Computes the same as `at_once`, one task after another."""
    return torch.stack([network(w, inputs, own) for w, own in zip(weights, buffers, strict=True)])

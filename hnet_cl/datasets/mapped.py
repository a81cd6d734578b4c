"""Tensors that stay in a file: their numbers are read when they are used, and need not fit into memory."""

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def read_only(array: NDArray) -> Tensor:
    """Returns a tensor that shares the memory of an array that must not be written to; who does ends the process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        return torch.from_numpy(array)


def mapped(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Returns the uint8 numbers at the beginning of a file as a tensor of this shape, without reading them.

    The mapping is shared and read-only, so that it counts neither as this process's memory nor as promised memory.

    Raises:
        OSError: the file cannot be mapped.
        ValueError: it is too short.
    """
    return read_only(np.memmap(path, np.uint8, "r", shape=shape))

"""Readers of CIFAR files: pickles, read without executing anything in them, and sprite images."""

import io
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from hnet_cl.core.regular_files import read_regular
from hnet_cl.datasets.base import Part

SIDE = 32
ROW = 3 * SIDE * SIDE
LIMIT = 1 << 30  # bytes; the largest file has 155 MB


def read_batch(path: Path, label_key: str) -> Part:
    """Reads images uint8 (n, 3, 32, 32) and labels int64 (n,) of one pickled batch in torchvision's format.

    The labels are stored under the key `label_key`.

    Raises:
        ValueError: the file holds anything else; the message is one line.
        OSError: the file cannot be read.
    """
    raw = read_regular(path, LIMIT)
    try:
        content = _SafeUnpickler(io.BytesIO(raw), encoding="bytes").load()
        named = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
        shape, labels = named["data"].shape, list(named[label_key])
        pixels = np.frombuffer(bytearray(named["data"].bytes), np.uint8)  # a copy, because torch wants writable memory
    except Exception as error:  # a damaged or forged pickle can raise anything
        raise ValueError(f"it is no batch of CIFAR ({type(error).__name__}: {error})") from error
    if shape != (len(labels), ROW) or pixels.size != len(labels) * ROW:
        raise ValueError(f"it holds {len(labels)} labels, and images of shape {shape} in {pixels.size} bytes")
    if not all(isinstance(label, int) and 0 <= label < 100 for label in labels):
        raise ValueError("its labels are no numbers from 0 to 99")
    return Part(torch.from_numpy(pixels).view(-1, 3, SIDE, SIDE), torch.tensor(labels))


def read_sprites(pictures: Sequence[Path], labels: Path) -> Part:
    """Reads images uint8 (n, 3, 32, 32) from PNG sprites and their labels int64 (n,) from a JSON list.

    Each row of a sprite (1024 pixels wide) is one image.

    Raises:
        ValueError: a file cannot be read or holds anything else; the message names it, in one line.
    """
    parts = []
    for path in (*pictures, labels):
        try:
            if path == labels:
                own = torch.tensor(json.loads(read_regular(path, LIMIT)))
            else:
                content = io.BytesIO(read_regular(path, LIMIT))
                with Image.open(content, formats=("PNG",)) as picture:
                    parts.append(torch.from_numpy(np.array(picture.convert("RGB"))).view(-1, SIDE, SIDE, 3))
        except (OSError, ValueError, TypeError, RuntimeError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path.name}: {error}") from error
    images = torch.cat(parts).permute(0, 3, 1, 2).contiguous()
    if own.shape != (len(images),) or own.dtype != torch.int64:
        raise ValueError(f"{labels.name} is no list of {len(images)} labels")
    if own.numel() and not 0 <= own.min() <= own.max() < 100:
        raise ValueError(f"{labels.name} has labels that are no numbers from 0 to 99")
    return Part(images, own)


class _SafeUnpickler(pickle.Unpickler):
    """An unpickler that admits only arrays of bytes: the names that such a pickle needs map to the classes below.

    Any other name that a pickle asks for is an error, so it cannot execute code.
    """

    def find_class(self, module: str, name: str) -> Any:
        found = _ADMITTED.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise pickle.UnpicklingError(f"asks for {module}.{name}")
        return found


class _Array:
    """A stand-in for a pickled array that keeps only its shape and its bytes."""

    def __init__(self, *_: Any) -> None:
        self.shape: tuple[int, ...] = ()
        self.bytes = b""

    def __setstate__(self, state: tuple[int, tuple[int, ...], "_Dtype", bool, bytes]) -> None:
        _, self.shape, dtype, column_major, self.bytes = state
        if dtype.name not in ("u1", b"u1") or column_major:
            raise ValueError(f"an array of type {dtype.name!r}, column by column: {column_major}")


class _Dtype:
    """A stand-in for a pickled dtype that keeps only its name."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Ignores the state: byte order and the like have no meaning for single bytes."""


class _FromBuffer:
    """Builds an array from its form in pickle protocol 5.

    It is an instance with empty slots and not a function, because a pickle could set attributes of a function.
    """

    __slots__ = ()

    def __call__(self, buffer: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
        array = _Array()
        array.__setstate__((1, shape, dtype, order not in ("C", b"C"), bytes(buffer)))
        return array


class _Encode:
    """Decodes bytes from the form that Python 3 gives them in pickle protocol 2."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        return text.encode("latin1" if encoding == "latin1" else "ascii")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.numeric", "_frombuffer"): _FromBuffer(),
    ("_codecs", "encode"): _Encode(),
}

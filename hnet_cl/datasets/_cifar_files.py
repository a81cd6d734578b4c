"""The files of CIFAR: pickles read without running what is in them, and sprites."""

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
    """Images and labels of one pickled batch (as torchvision keeps them), under `label_key`.

    Raises:
        ValueError: the file holds anything else; in one line.
        OSError: it cannot be read.
    """
    raw = read_regular(path, LIMIT)
    try:
        content = _SafeUnpickler(io.BytesIO(raw), encoding="bytes").load()
        named = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
        shape, labels = named["data"].shape, list(named[label_key])
        pixels = np.frombuffer(bytearray(named["data"].bytes), np.uint8)  # a copy, because torch wants to write
    except Exception as error:  # whatever a damaged or forged pickle leads to
        raise ValueError(f"it is no batch of CIFAR ({type(error).__name__}: {error})") from error
    if shape != (len(labels), ROW) or pixels.size != len(labels) * ROW:
        raise ValueError(f"it holds {len(labels)} labels, and images of shape {shape} in {pixels.size} bytes")
    if not all(isinstance(label, int) and 0 <= label < 100 for label in labels):
        raise ValueError("its labels are no numbers from 0 to 99")
    return Part(torch.from_numpy(pixels).view(-1, 3, SIDE, SIDE), torch.tensor(labels))


def read_sprites(pictures: Sequence[Path], labels: Path) -> Part:
    """Images that lie as rows of pictures (1024 pixels wide, one row an image), and a JSON list of their labels.

    Raises:
        ValueError: a file holds anything else; the message names it, in one line.
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
    return Part(images, own)


class _SafeUnpickler(pickle.Unpickler):
    """Admits nothing but arrays of bytes: the names that an array's pickle needs stand for the classes below.

    Anything else that a pickle asks for, and so anything it could run, is an error.
    """

    def find_class(self, module: str, name: str) -> Any:
        found = _ADMITTED.get((module.replace("numpy._core", "numpy.core"), name))
        if found is None:
            raise pickle.UnpicklingError(f"asks for {module}.{name}")
        return found


class _Array:
    """What is left of a pickled array: its shape and its bytes."""

    def __init__(self, *_: Any) -> None:
        self.shape: tuple[int, ...] = ()
        self.bytes = b""

    def __setstate__(self, state: tuple[int, tuple[int, ...], "_Dtype", bool, bytes]) -> None:
        _, self.shape, dtype, column_major, self.bytes = state
        if dtype.name not in ("u1", b"u1") or column_major:
            raise ValueError(f"an array of type {dtype.name!r}, column by column: {column_major}")


class _Dtype:
    """What is left of a pickled type: its name."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like mean nothing for bytes."""


class _FromBuffer:
    """An array in the form of pickle protocol 5. No function, whose attributes a pickle could set."""

    __slots__ = ()

    def __call__(self, buffer: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
        array = _Array()
        array.__setstate__((1, shape, dtype, order not in ("C", b"C"), bytes(buffer)))
        return array


class _Encode:
    """Bytes in the form that Python 3 gives them in pickle protocol 2."""

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

"""Checks of untrusted .npy files before numpy reads them: a header can state any shape."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, BinaryIO

import numpy as np

from hnet_cl.core.plain_text import shown
from hnet_cl.core.tensor_files import ContentError

_HEADER = 1 << 16  # bytes of a header, whose length is read from the file
_LENGTH = slice(8, 12)  # where it stands, after the first version
_HEADERS: Mapping[Any, Callable[[BinaryIO], Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def require_whole(file: BinaryIO, size: int) -> None:
    """Checks that a .npy file has the numbers that its header states, and leaves it at its beginning.

    Args:
        file: the file, open at its beginning.
        size: its bytes.

    Raises:
        ContentError: it has fewer, or holds Python objects, records or values without bytes.
        ValueError: it is damaged or no such file.
    """
    start = file.read(_LENGTH.stop)
    file.seek(0)
    if start[6:7] > b"\1" and int.from_bytes(start[_LENGTH], "little") > _HEADER:
        raise ContentError("states a header longer than any array has")
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ContentError("holds records, or is of a newer form; save numbers or text")
    shape, _, kind = _HEADERS[version](file)
    if kind.hasobject:
        raise ContentError("holds Python objects; save numbers or text")
    if not kind.itemsize:  # torch 2.4 divides by it
        raise ContentError("holds values that have no bytes; save numbers or text")
    stated, there = prod(shape) * kind.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or stated > there:
        raise ContentError(f"states the shape {shown(shape)}, which takes {shown(stated)} bytes, and has {there}")
    file.seek(0)

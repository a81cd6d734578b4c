"""The two files of a cache of decoded images: their pixels, and a row that says for each image what both must be."""

import errno
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from time import time_ns
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hnet_cl.core.errors import UnusableError
from hnet_cl.core.regular_files import open_regular, read_regular
from hnet_cl.datasets.image_pixels import FILE_LIMIT

ROW = np.dtype(
    [
        ("size", "<i8"),  # of the image file in bytes; like the next two 0 if the file cannot be found
        ("modified", "<i8"),  # time of its last change in nanoseconds
        ("changed", "<i8"),  # the same for its content and properties
        ("read", "<i8"),  # time at which it was read
        ("digest", "V32"),  # SHA-256 of its content
        ("usable", "u1"),
        ("pixels", "<u4"),  # CRC-32 of its pixels
        ("check", "<u4"),  # CRC-32 of all of the above
    ]
)
ROWS_LIMIT = 1 << 36  # bytes
# A file that changed so little before it was read may have changed once more with the same time (as in git's index).
TICK_NS = 2_000_000_000
NO_SUCH_CALL = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV)

Rows = NDArray[Any]  # of type ROW


class Image(NamedTuple):
    """The pixels of an image file, or why it cannot be used, and its row."""

    pixels: NDArray[np.uint8] | UnusableError
    row: bytes


def read_image(path: Path, decode: Callable[[bytes], NDArray[np.uint8]]) -> Image:
    """Reads and decodes an image file."""
    state, when, content = _state(path), time_ns(), b""
    try:
        content = read_regular(path, FILE_LIMIT)
        pixels: NDArray[np.uint8] | UnusableError = decode(content)
    except OSError as error:
        pixels = UnusableError(f"cannot be read ({error.strerror})")
    except ValueError:  # a name with a null character
        pixels = UnusableError("cannot be read (its name is none)")
    except UnusableError as error:
        pixels = error
    usable = not isinstance(pixels, UnusableError)
    crc = zlib.crc32(pixels.data) if not isinstance(pixels, UnusableError) else 0
    row = np.array((*state, when, hashlib.sha256(content).digest(), usable, crc, 0), ROW)
    row["check"] = zlib.crc32(row.tobytes()[:-4])
    return Image(pixels, row.tobytes())


def is_unchanged(row: Any, path: Path) -> bool:
    """Tells whether an image file is the one that a row is of: by its size and times, or else by its content."""
    state = _state(path)
    same = state == (row["size"], row["modified"], row["changed"])
    if same and max(state[1:]) + TICK_NS < row["read"]:
        return True
    try:
        content = read_regular(path, FILE_LIMIT)
    except (OSError, ValueError):
        content = b""
    return hashlib.sha256(content).digest() == row["digest"].tobytes()


def _state(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class PixelFiles:
    """The two files of a cache; nothing is opened yet.

    Args:
        stem: their path without .pixels and .rows.
        shape: of the pixels of one image.
    """

    def __init__(self, stem: Path, shape: tuple[int, ...]) -> None:
        self.pixels = stem.with_name(f"{stem.name}.pixels")
        self.rows = stem.with_name(f"{stem.name}.rows")
        self.shape = shape
        self._bytes = prod(shape)

    def sound(self, files: Sequence[Path], skip: bool) -> Rows:
        """Returns the rows of the first image files for which all holds: row, pixels and image file are unchanged.

        Unless `skip`, they end before the first image file that is not usable.
        """
        try:
            rows = self._read_rows()
            with open_regular(self.pixels) as pixels:
                for number, (row, path) in enumerate(zip(rows, files, strict=False)):
                    length = self._bytes * int(row["usable"])
                    whole = zlib.crc32(row.tobytes()[:-4]) == row["check"] and (skip or length)
                    if not whole or not _is(pixels.read(length), row) or not is_unchanged(row, path):
                        return rows[:number]
        except OSError:
            return np.empty(0, ROW)
        return rows[: len(files)]

    def _read_rows(self) -> Rows:
        content = read_regular(self.rows, ROWS_LIMIT)
        return np.frombuffer(content, ROW, len(content) // ROW.itemsize)

    @contextmanager
    def appending(self, kept: Rows, total: int) -> Iterator[Callable[[Sequence[Image]], None]]:
        """Yields a function that appends images to those that are `kept`; room for `total` images is reserved.

        Raises:
            OSError: the files cannot be written.
        """
        for path in (self.pixels, self.rows):
            path.touch()
        with self.pixels.open("r+b") as pixels, self.rows.open("r+b") as rows:
            _reserve(pixels.fileno(), total * self._bytes)
            pixels.seek(self._bytes * int(kept["usable"].sum()))
            rows.seek(kept.nbytes)
            rows.truncate()

            def append(images: Sequence[Image]) -> None:
                for image in images:
                    if not isinstance(image.pixels, UnusableError):
                        pixels.write(image.pixels.data)
                pixels.flush()
                rows.write(b"".join(image.row for image in images))
                rows.flush()

            yield append
            pixels.truncate()
            for file in (pixels, rows):
                os.fsync(file.fileno())

    def replace(self, other: "PixelFiles") -> None:
        """Takes the place of the files of another cache, which processes that have mapped these keep."""
        with suppress(FileNotFoundError):
            other.rows.unlink()
        self.pixels.replace(other.pixels)
        self.rows.replace(other.rows)

    def remove(self) -> None:
        """Removes both files, as far as that is possible."""
        for path in (self.rows, self.pixels):
            with suppress(OSError):
                path.unlink()


def _is(pixels: bytes, row: Any) -> bool:
    return zlib.crc32(pixels) == int(row["pixels"])


def _reserve(descriptor: int, size: int) -> None:
    """Reserves room on the disk where the system can do so, so that a full disk is noticed before the work."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in NO_SUCH_CALL:
            raise

"""Files with a user's arrays: X and y, or X_train, y_train, X_test and y_test, as .npy files or in one .npz or .pt."""

import os
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hnet_cl.core.capacity import amount, memory_limit
from hnet_cl.core.errors import UserError, first_line
from hnet_cl.core.numpy_files import require_whole
from hnet_cl.core.plain_text import shown
from hnet_cl.core.regular_files import open_regular
from hnet_cl.core.tensor_files import ContentError, is_dense, load_plain
from hnet_cl.datasets.held_out import listed

TOGETHER = ("X", "y")
APART = ("X_train", "y_train", "X_test", "y_test")
TENSORS = (".pt", ".pth")
EXPECTED = "X and y, or X_train, y_train, X_test and y_test"
NPY = ".npy"
LONGEST = 1000  # characters of a label
NAMED = 6  # names of what is there, in a message

Array = NDArray[Any]


def read_arrays(root: Path) -> dict[str, Array]:
    """Reads the arrays `APART` or, if there are none of those, `TOGETHER`; a small x in place of X will do.

    Args:
        root: a folder with NAME.npy for each array, which are memory-mapped; or a .npz or .pt file with all of them.

    Raises:
        UserError: arrays are missing, or a file cannot be read, is damaged or holds Python objects.
    """
    if root.suffix.lower() == ".npz":
        return _chosen(root, *_in_npz(root))
    if root.suffix.lower() in TENSORS:
        return _chosen(root, *_in_tensors(root))
    try:
        files = {path.stem: path for path in sorted(root.iterdir()) if path.suffix.lower() == NPY}
        there = sorted(f"{path.name}/" if path.is_dir() else path.name for path in root.iterdir())
    except OSError as error:
        raise UserError(
            f"{shown(root)} cannot be listed ({error.strerror}): give a folder, or a .npz or .pt file"
        ) from error
    return _chosen(root, {name: _reader(path) for name, path in files.items()}, there)


def _chosen(root: Path, found: Mapping[str, Callable[[], Array]], there: list[str]) -> dict[str, Array]:
    """Reads the arrays that are wanted of those that are found; `there` is what is to be named otherwise."""
    known = {f"X{name[1:]}" if name[:1] == "x" else name: read for name, read in found.items()}
    wanted = APART if any(name in known for name in APART) else TOGETHER
    if missing := [name for name in wanted if name not in known]:
        raise UserError(
            f"{shown(root)}: {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing; there is "
            f"{listed(there, NAMED) or 'nothing'}; expected {EXPECTED}, as .npy files or in one .npz or .pt file"
        )
    return {name: known[name]() for name in wanted}


def _reader(path: Path) -> Callable[[], Array]:
    def read() -> Array:
        with _in_one_line(path):
            with open_regular(path) as file:  # a pipe would never end
                require_whole(file, os.fstat(file.fileno()).st_size)
            found: Array = np.lib.format.open_memmap(path, mode="r")
            return found

    return read


def _in_npz(path: Path) -> tuple[dict[str, Callable[[], Array]], list[str]]:
    with _in_one_line(path):
        open_regular(path).close()
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
        size = sum(member.file_size for member in members.values())
        if size > memory_limit():
            raise ContentError(
                f"takes {amount(size)} of memory, which is too much; give .npy files, which stay on disk"
            )

    def read(name: str, member: zipfile.ZipInfo) -> Array:
        with _in_one_line(path, name), zipfile.ZipFile(path) as archive, archive.open(member) as file:
            stream: Any = file  # no BinaryIO by name, but one in what it does
            require_whole(stream, member.file_size)
            found: Array = np.lib.format.read_array(stream, allow_pickle=False)
            return found

    arrays = {name.removesuffix(NPY): member for name, member in members.items() if name.endswith(NPY)}
    return {name: partial(read, name, member) for name, member in arrays.items()}, list(members)


def _in_tensors(path: Path) -> tuple[dict[str, Callable[[], Array]], list[str]]:
    with _in_one_line(path):
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            loaded = load_plain(file)
        if not isinstance(loaded, dict):
            raise ContentError("holds no dict of arrays")
        found = {str(name): value for name, value in loaded.items()}

    def read(name: str) -> Array:
        with _in_one_line(path, name):
            value = found[name]
            return _of_tensor(value, size) if isinstance(value, Tensor) else _of_list(value)

    return {name: partial(read, name) for name in found}, list(found)


def _of_tensor(tensor: Tensor, size: int) -> Array:
    """Returns the numbers of a tensor from a file of `size` bytes; one that is expanded would take any memory."""
    if not is_dense(tensor):
        raise ContentError("is no ordinary tensor but sparse, quantised or without data; save its numbers")
    if max(tensor.nbytes, tensor.untyped_storage().nbytes()) > size:
        raise ContentError(
            f"has the shape {shown(tuple(tensor.shape))}, which takes {shown(tensor.nbytes)} bytes, and the file has "
            f"{size}; save a copy of it (contiguous())"
        )
    try:
        array: Array = tensor.numpy()
    except TypeError as error:
        raise ContentError(f"holds {tensor.dtype}, which numpy does not know; save it as float32 (float())") from error
    return array


def _of_list(values: Any) -> Array:
    """Returns labels that are a list of whole numbers or of text; of short text, as each takes as much as the longest.

    A list in a file can contain another one many times, and so take more memory than any file has bytes.
    """
    if not isinstance(values, list | tuple) or not all(isinstance(value, int | str) for value in values):
        raise ContentError("is neither a tensor nor a list of whole numbers or of text; save a tensor")
    if any(isinstance(value, str) and len(value) > LONGEST for value in values):
        raise ContentError(f"has a text of more than {LONGEST} characters; expected names of classes")
    return np.array(values)


@contextmanager
def _in_one_line(path: Path, name: str = "") -> Iterator[None]:
    """Turns errors of reading a file, or the array `name` in it, into a UserError of one line."""
    what = f"{shown(path)}, {shown(name)}" if name else shown(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # the line says what matters
            yield
    except ContentError as error:
        raise UserError(f"{what}: {error}") from error
    except OSError as error:
        raise UserError(f"{what} cannot be read ({error.strerror or error})") from error
    except (MemoryError, UserError):
        raise
    except Exception as error:  # readers may raise anything for a damaged or foreign file
        raise UserError(f"{what}: is damaged or no such file ({first_line(error)})") from error

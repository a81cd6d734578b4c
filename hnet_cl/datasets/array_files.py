"""Files with a user's arrays: X and y, or X_train, y_train, X_test and y_test, as .npy files or in one .npz or .pt."""

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
from hnet_cl.core.plain_text import printable, shown
from hnet_cl.core.regular_files import open_regular
from hnet_cl.core.tensor_files import ContentError, load_plain
from hnet_cl.datasets.held_out import listed

TOGETHER = ("X", "y")
APART = ("X_train", "y_train", "X_test", "y_test")
TENSORS = (".pt", ".pth")
EXPECTED = "X and y, or X_train, y_train, X_test and y_test"
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
        files = {path.stem: path for path in sorted(root.iterdir()) if path.suffix.lower() == ".npy"}
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
            open_regular(path).close()  # a pipe would never end
            found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(found, np.ndarray):
                raise ContentError("is no .npy file")
            return found

    return read


def _in_npz(path: Path) -> tuple[dict[str, Callable[[], Array]], list[str]]:
    with _in_one_line(path):
        open_regular(path).close()
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > memory_limit():
            raise ContentError(
                f"takes {amount(size)} of memory, which is too much; give .npy files, which stay on disk"
            )
        with np.load(path, allow_pickle=False) as loaded:
            names = list(loaded)

    def read(name: str) -> Array:
        with _in_one_line(path, name), np.load(path, allow_pickle=False) as loaded:
            found: Array = loaded[name]
            return found

    return {name: partial(read, name) for name in names}, names


def _in_tensors(path: Path) -> tuple[dict[str, Callable[[], Array]], list[str]]:
    with _in_one_line(path):
        with open_regular(path) as file:
            loaded = load_plain(file)
        if not isinstance(loaded, dict):
            raise ContentError("holds no dict of arrays")
        found = {str(name): value for name, value in loaded.items()}

    def read(name: str) -> Array:
        with _in_one_line(path, name):
            value = found[name]
            return value.numpy() if isinstance(value, Tensor) else np.array(value)

    return {name: partial(read, name) for name in found}, list(found)


@contextmanager
def _in_one_line(path: Path, name: str = "") -> Iterator[None]:
    """Turns errors of reading a file, or the array `name` in it, into a UserError of one line."""
    what = f"{shown(path)}, {printable(name)}" if name else shown(path)
    try:
        yield
    except ContentError as error:
        raise UserError(f"{what}: {error}") from error
    except OSError as error:
        raise UserError(f"{what} cannot be read ({error.strerror or error})") from error
    except (MemoryError, UserError):
        raise
    except Exception as error:  # readers may raise anything for a damaged or foreign file
        objects = "Object arrays" in str(error) or "Python objects" in str(error)
        reason = (
            "holds Python objects; save numbers or text"
            if objects
            else f"is damaged or no such file ({first_line(error)})"
        )
        raise UserError(f"{what}: {reason}") from error

"""Arrays of a user's own: images or vectors, and their labels."""

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from hnet_cl.core.capacity import memory_limit, require_memory
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import printable, shown
from hnet_cl.core.regular_files import read_regular
from hnet_cl.datasets.array_files import Array, read_arrays
from hnet_cl.datasets.base import Data, Part
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.held_out import held_out, in_order, require_both
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.mapped import read_only
from hnet_cl.datasets.own_data import OwnData

CLASSES = "classes.txt"  # a file with a line for each class, beside the arrays
CHANNELS = (1, 3)
CLASSES_LIMIT = 1 << 24  # bytes
BLOCK = 1 << 22  # numbers that are looked at together

_log = logging.getLogger(__name__)


class Arrays(OwnData):
    """Arrays X and y, of which a share is held out as test data, or X_train, y_train, X_test and y_test.

    X is uint8 (0 to 255) or floating-point: images (n, H, W), (n, H, W, C) or (n, C, H, W) with one or three channels,
    or vectors (n, d). y has n whole numbers or names. .npy files of type uint8 or float32 are memory-mapped, if
    the test data have files of their own; they must not be written to.
    """

    class Settings(OwnData.Settings):
        channels_last: bool | None

    def load(self) -> Data:
        """Reads the arrays.

        Raises:
            UserError: a file is missing or damaged, or holds something else than examples and labels.
        """
        self.require_root()
        where, arrays = shown(self.root), read_arrays(self.root)
        images, labels = [], []
        for (name, x), (other, y) in zip(*(_named(arrays, letter) for letter in "Xy"), strict=True):
            images.append(self._examples(x, f"{where}: {name}"))
            labels.append(_labels(y, f"{where}: {other}"))
            if len(x) != len(y):
                raise UserError(f"{where}: {name} has {len(x)} examples and {other} {len(y)} labels; make them as many")
        class_names, numbers = _numbered(labels, self._classes(), where)
        train, test = self._parts(images, numbers, class_names, where)
        require_both(train.labels, test.labels, class_names, where)
        checksum = fingerprint(*train, *test)
        return Data(train, test, class_names, DataIdentity(printable(self.root.resolve().name), "files", checksum))

    def _parts(self, images: Sequence[Tensor], labels: Sequence[Tensor], names: list[str], where: str) -> list[Part]:
        """Returns training and test data, which are drawn if they are not apart already."""
        if len(images) == 2:
            return [Part(*pair) for pair in zip(images, labels, strict=True)]
        test = held_out(labels[0], names, self.settings.test_share, self.settings.seed, where)
        require_memory(images[0].nbytes, memory_limit(), where, "the examples, which are to be divided, take")
        return [Part(images[0][own], labels[0][own]) for own in (~test, test)]

    def _examples(self, array: Array, what: str) -> Tensor:
        """Returns examples uint8 or float32 (n, C, H, W) or (n, d)."""
        if array.dtype != np.uint8 and array.dtype.kind != "f":
            raise UserError(f"{what} holds {array.dtype}; expected uint8 (0 to 255) or floating-point numbers")
        if array.ndim not in (2, 3, 4) or 0 in array.shape:
            raise UserError(
                f"{what} has shape {array.shape}; expected images (n, H, W), (n, H, W, C) or (n, C, H, W), or vectors "
                "(n, d)"
            )
        values = read_only(_in_ordinary_type(array, what))
        if values.dim() == 3:
            values = values.unsqueeze(1)
        elif values.dim() == 4 and self._has_channels_last(values.shape, what):
            values = values.permute(0, 3, 1, 2)
        _check_numbers(values, what)
        return values

    def _has_channels_last(self, shape: Sequence[int], what: str) -> bool:
        """Tells whether images of this shape are (n, H, W, C): as the settings say, or as the shape shows."""
        last = self.settings.channels_last
        possible = [place for place, at in ((True, 3), (False, 1)) if shape[at] in CHANNELS and last in (None, place)]
        if len(possible) == 1:
            return possible[0]
        key = self.settings.key("channels_last")
        if possible:
            raise UserError(f"{what} has shape {tuple(shape)}; give {key}=true or false, as the shape allows both")
        raise UserError(
            f"{what} has shape {tuple(shape)}; expected one channel or three, in the last place or the second"
        )

    def _classes(self) -> list[str] | None:
        """Reads the names of classes beside the arrays; None if there are none."""
        path = self.root / CLASSES
        if not self.root.is_dir() or not path.exists():
            return None
        try:
            names = [line.strip() for line in read_regular(path, CLASSES_LIMIT).decode("utf-8-sig").splitlines()]
        except OSError as error:
            raise UserError(
                f"{shown(path)} cannot be read ({error.strerror}); make it readable, or remove it"
            ) from error
        except UnicodeDecodeError as error:
            raise UserError(
                f"{shown(path)} cannot be read ({error}); expected a line for each class, in UTF-8"
            ) from error
        twice = {name for name, number in Counter(names).items() if number > 1}
        if wrong := [name for name in names if not name or not name.isprintable() or name in twice]:
            raise UserError(
                f"{shown(path)}: {wrong[0]!a} is empty, twice there or not printable; give each class a name"
            )
        return names


def _named(arrays: Mapping[str, Array], letter: str) -> list[tuple[str, Array]]:
    return [(name, array) for name, array in arrays.items() if name[0] == letter]


def _in_ordinary_type(array: Array, what: str) -> Array:
    """Returns the array as uint8 or float32 in this machine's byte order; unchanged if it is already."""
    kind = np.dtype(np.uint8 if array.dtype == np.uint8 else np.float32)
    if array.dtype == kind:
        return array
    require_memory(array.size * kind.itemsize, memory_limit(), what, "as float32 it takes")
    with np.errstate(over="ignore"):  # it will be found to be infinite
        return array.astype(kind)


def _check_numbers(values: Tensor, what: str) -> None:
    """Checks that examples are finite, and says so if images are not in 0..1."""
    if values.dtype == torch.uint8:
        return
    low, high = math.inf, -math.inf
    at_a_time = max(1, BLOCK // prod(values.shape[1:]))
    for start in range(0, len(values), at_a_time):
        block = values[start : start + at_a_time]
        if not bool(block.isfinite().all()):
            first = start + int((~block.flatten(1).isfinite().all(1)).nonzero()[0, 0])
            raise UserError(f"{what} holds NaN or infinity, first in number {first} from 0; expected finite numbers")
        low, high = min(low, block.min().item()), max(high, block.max().item())
    if values.dim() == 4 and not 0 <= low <= high <= 1:
        _log.warning("%s: images with numbers from %g to %g are used as they are; 0 to 1 is usual", what, low, high)


def _labels(array: Array, what: str) -> Array:
    """Returns labels (n,), whole numbers or text."""
    if array.ndim != 1:
        remedy = "y.argmax(1) if they are one-hot, or y.ravel()" if array.ndim == 2 else "one for each example"
        raise UserError(f"{what} has shape {array.shape}; expected labels of shape (n,): save {remedy}")
    if array.dtype.kind not in "iuUS":
        raise UserError(
            f"{what} holds {array.dtype}; expected whole numbers or text: save y.astype(int) for the former"
        )
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "replace")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def _numbered(labels: Sequence[Array], listed_names: list[str] | None, where: str) -> tuple[list[str], list[Tensor]]:
    """Returns the names of the classes that occur, in order, and labels (n,) int64 that count them from 0.

    `listed_names` are names by number, if the user has given them.
    """
    text = {array.dtype.kind == "U" for array in labels}
    if len(text) > 1 or (listed_names and text == {True}):
        raise UserError(f"{where}: labels that are text, and numbers elsewhere (or {CLASSES}); make them alike")
    found = np.unique(np.concatenate(labels))
    names = [str(value) for value in found.tolist()]
    if listed_names:
        low, high = int(found[0]), int(found[-1])
        if low < 0 or high >= len(listed_names):
            raise UserError(
                f"{where}: labels from {low} to {high}, and {CLASSES} has {len(listed_names)} lines; add the rest"
            )
        names = [listed_names[int(value)] for value in found]
    if strange := [name for name in names if not name.strip() or not name.isprintable()]:
        raise UserError(
            f"{where}: the label {strange[0]!a} is empty or cannot be shown in a line; expected one that can"
        )
    order = names if listed_names else in_order(names)
    position = {name: label for label, name in enumerate(order)}
    place = torch.tensor([position[name] for name in names])
    return order, [place[torch.from_numpy(np.searchsorted(found, array))] for array in labels]

"""Reading of files as network inputs, some at a time, in order. A `Problem` takes the place of an unusable input."""

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hnet_cl.benchmarks.base import ImageKind
from hnet_cl.core.errors import UnusableError, first_line
from hnet_cl.core.numpy_files import require_whole
from hnet_cl.core.plain_text import printable
from hnet_cl.core.regular_files import open_regular, read_regular
from hnet_cl.core.tensor_files import ContentError, load_tensor

IMAGES = (".png", ".jpg", ".jpeg")
TENSORS = (".pt", ".pth")
ARRAYS = (".npy", *TENSORS)
GREY_MODES = ("1", "L", "LA", "La")
IMAGE_LIMIT = 64 << 20  # bytes of a PNG or JPEG file
LUMA = (19595, 38470, 7471)  # shares of red, green and blue in grey, of 65536 (ITU-R 601, rounded as Pillow does)


class Inputs(NamedTuple):
    """Network inputs `values` float32 (n, *in_shape), and a name for each."""

    names: list[str]
    values: Tensor


class Problem(NamedTuple):
    """The name of a file or input that cannot be used, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Form:
    """The inputs that are accepted.

    Attributes:
        in_shape: shape of one network input; floating-point numbers (n, *in_shape) are accepted.
        kinds: kinds of images that are accepted.
        if_given: kinds of images that would be accepted if the task were given, for error messages.
    """

    in_shape: tuple[int, ...]
    kinds: Sequence[ImageKind]
    if_given: Sequence[ImageKind]

    @property
    def expected(self) -> str:
        """Describes the accepted inputs, for error messages."""
        sizes = dict.fromkeys(
            "images" if kind.decode else f"images of {kind.height} x {kind.width} pixels" for kind in self.kinds
        )
        shape = ", ".join(["n", *map(str, self.in_shape)])
        return " or ".join([*sizes, f"floating-point numbers of shape ({shape}) in a .npy or .pt file"])

    def kind(self, height: int, width: int) -> ImageKind:
        """Returns the kind of images of a size in pixels.

        Raises:
            UnusableError: no accepted kind has this size.
        """
        for kind in self.kinds:
            if (kind.height, kind.width) == (height, width):
                return kind
        hint = (
            "; such images need task=NUMBER" if (height, width) in {(k.height, k.width) for k in self.if_given} else ""
        )
        raise UnusableError(f"has {height} x {width} pixels (height x width), expected {self.expected}{hint}")

    def from_images(self, images: Tensor) -> Tensor:
        """Converts images uint8 (n, 1 or 3 channels, height, width) to inputs float32 (n, *in_shape).

        Raises:
            UnusableError: no accepted kind of images has this size.
        """
        kind = self.kind(*images.shape[2:])
        return kind.encode(_with_channels(images, kind.channels))

    def from_array(self, array: Tensor) -> Tensor:
        """Converts an array to inputs float32 (n, *in_shape).

        Args:
            array: images uint8 (n, h, w), (n, h, w, 1 or 3) or (n, 1 or 3, h, w), or inputs as floating-point numbers
                (n, *in_shape).

        Raises:
            UnusableError: it has another type or shape.
        """
        if array.is_floating_point() and array.shape[1:] == self.in_shape:
            return array.float()
        if array.dtype == torch.uint8 and array.dim() == 3:
            return self.from_images(array.unsqueeze(1))
        if array.dtype == torch.uint8 and array.dim() == 4 and array.shape[3] in (1, 3):
            return self.from_images(array.permute(0, 3, 1, 2))
        if array.dtype == torch.uint8 and array.dim() == 4 and array.shape[1] in (1, 3):
            return self.from_images(array)
        kind = str(array.dtype).removeprefix("torch.")
        raise UnusableError(f"holds {kind} of shape {tuple(array.shape)}, expected {self.expected}")


def read(path: Path, form: Form, size: int) -> Iterator[Inputs | Problem]:
    """Yields the inputs in a file, or in the images of a folder, at most `size` at a time.

    Yields a `Problem`, rather than raising an error, for each file or input that cannot be used.
    """
    name = printable(str(path))
    try:
        if path.is_dir():
            files = sorted(entry.name for entry in os.scandir(path) if entry.name.lower().endswith(IMAGES))
            if not files:
                raise UnusableError("is a folder without PNG or JPEG files")
            for file in files:
                yield _one_image(path / file, form)
        elif path.suffix.lower() in ARRAYS:
            yield from _parts(name, _array(path, form), form, size)
        else:
            yield _one_image(path, form)
    except OSError as error:
        yield Problem(name, f"cannot be read ({error.strerror or error})")
    except UnusableError as error:
        yield Problem(name, str(error))


def _one_image(path: Path, form: Form) -> Inputs | Problem:
    name = printable(str(path))
    try:
        return Inputs([name], form.from_images(_decode(path, form)))
    except UnusableError as error:
        return Problem(name, str(error))


def _decode(path: Path, form: Form) -> Tensor:
    """Decodes an image file to uint8 (1, 1 or 3 channels, height, width), as the run's dataset does if it can.

    Raises:
        UnusableError: it cannot be read, is damaged or no PNG or JPEG image, or its size or pixels are not accepted.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            content = read_regular(path, IMAGE_LIMIT)
            if decode := next((kind.decode for kind in form.kinds if kind.decode), None):
                return decode(content)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
                form.kind(image.height, image.width)  # before anything is decoded
                return _pixels(image)
    except UnusableError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UnusableError(f"has too many pixels, expected {form.expected}") from None
    except Image.UnidentifiedImageError:
        raise UnusableError(f"is no PNG or JPEG image, expected {form.expected}") from None
    except Exception as error:  # decoders may raise anything for a damaged file
        if isinstance(error, OSError) and error.strerror:
            raise UnusableError(f"cannot be read ({error.strerror})") from error
        reason = first_line(error)
        raise UnusableError(f"is damaged or cut short ({reason})") from error


def _pixels(image: Image.Image) -> Tensor:
    if image.mode.startswith(("I", "F")):
        raise UnusableError(f"has pixels of more than 8 bits (mode {image.mode}), expected 8")
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise UnusableError("has transparent pixels, expected none")
    pixels = torch.from_numpy(np.array(image.convert("L" if image.mode in GREY_MODES else "RGB")))
    return pixels.view(1, image.height, image.width, -1).permute(0, 3, 1, 2)


def _with_channels(images: Tensor, channels: int) -> Tensor:
    """Converts images uint8 (n, 1 or 3, h, w) to 1 or 3 `channels`."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    shares = torch.tensor(LUMA).view(3, 1, 1)
    return ((images * shares).sum(1, keepdim=True) + 0x8000 >> 16).to(torch.uint8)


def _array(path: Path, form: Form) -> Tensor | np.ndarray:
    """Reads the array in a .npy file, memory-mapped, or the tensor in a .pt file.

    Raises:
        UnusableError: the file is damaged, or holds anything but numbers, or no inputs.
        OSError: the file cannot be read.
    """
    open_regular(path).close()  # raises errors that have nothing to do with the content
    try:
        with warnings.catch_warnings(action="ignore"):  # the line says what matters
            found = load_tensor(path) if path.suffix.lower() in TENSORS else _memmap(path)
    except ContentError as error:
        raise UnusableError(f"{error}, expected {form.expected}") from error
    except Exception as error:  # readers may raise anything for a damaged or foreign file
        raise UnusableError(f"is damaged, or holds something else than numbers, expected {form.expected}") from error
    if not found.ndim or 0 in found.shape:
        raise UnusableError(f"holds no inputs, expected {form.expected}")
    return found


def _memmap(path: Path) -> np.ndarray:
    with open_regular(path) as file:
        require_whole(file, os.fstat(file.fileno()).st_size)
    found = np.lib.format.open_memmap(path, mode="c")  # private to this process; no Python objects are read
    as_tensor(found[:0] if found.ndim else found)  # raises if torch has no such numbers
    return found


def as_tensor(array: Tensor | np.ndarray) -> Tensor:
    """Converts an array to a tensor, in this machine's byte order; returns a tensor unchanged."""
    if isinstance(array, Tensor):
        return array
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))


def _parts(name: str, array: Tensor | np.ndarray, form: Form, size: int) -> Iterator[Inputs | Problem]:
    for start in range(0, len(array), size):
        values = form.from_array(as_tensor(array[start : start + size]))
        names = [f"{name}[{start + i}]" for i in range(len(values))]
        finite = values.isfinite().flatten(1).all(1).tolist()
        if all(finite):
            yield Inputs(names, values)
            continue
        for called, value, good in zip(names, values.split(1), finite, strict=True):
            yield Inputs([called], value) if good else Problem(called, "has numbers that are NaN or infinite")

"""A cache of decoded images on disk, memory-mapped, so that they need not fit into memory nor be decoded again.

While images are decoded, the cache's files have the word «part» in their names; a process that was killed leaves them
there, and the next one goes on from them.
"""

import errno
import hashlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from hnet_cl.core.capacity import memory_limit, require_memory
from hnet_cl.core.errors import BusyError, UnusableError, UserError
from hnet_cl.core.locking import locked
from hnet_cl.core.plain_text import shown
from hnet_cl.core.signals import sleep
from hnet_cl.datasets.held_out import NAMED
from hnet_cl.datasets.image_pixels import Form, TransparentError, decode
from hnet_cl.datasets.mapped import mapped
from hnet_cl.datasets.pixel_files import ROW, Image, PixelFiles, Rows, is_unchanged, read_image

AT_A_TIME = 64  # images that are decoded before their rows are written,
BYTES_AT_A_TIME = 1 << 26  # or as many as make so many bytes
WAIT_S = 1.0  # between two looks at whether another process has finished
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """Image files, and what is to be made of them.

    Attributes:
        root: their folder.
        names: their paths, relative to the root, in order.
        form: of their pixels.
        skip: whether files that cannot be used are left out; otherwise they are an error.
        key: returns the name of a setting as it is typed, for messages.
    """

    root: Path
    names: Sequence[str]
    form: Form
    skip: bool
    key: Callable[[str], str]

    @property
    def files(self) -> list[Path]:
        """Returns the paths of the files."""
        return [self.root / name for name in self.names]


@dataclass(frozen=True)
class Pixels:
    """Decoded images: `images` uint8 (m, C, H, W) of the m usable files, and a row for each of the n files."""

    images: Tensor
    rows: Rows

    @property
    def usable(self) -> Tensor:
        """Returns a mask (n,) of the files that are among the images."""
        return torch.from_numpy(self.rows["usable"].astype(bool))

    @property
    def digests(self) -> list[str]:
        """Returns the SHA-256 (n,) of the contents of all files."""
        return [row.tobytes().hex() for row in self.rows["digest"]]


def load_pixels(source: Source, cache: Path) -> Pixels:
    """Returns the pixels of image files from a cache in the folder `cache`; decodes them into it if it lacks them.

    A cache is used only if it is undamaged and no file has changed since. If it cannot be written, for example because
    the disk is full, a warning says so and the images are decoded into memory. Decoding takes as many threads as torch.

    Raises:
        UserError: a file cannot be used and is not to be skipped, sizes differ although no size is given, or files
            change while they are read.
    """
    shape = _shape(source)
    stem = cache / f"folder-{_key(source, shape)}"
    files, final = source.files, PixelFiles(stem, shape)
    rows = final.sound(files, source.skip)
    if len(rows) < len(files):
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with _alone(stem.with_name(f"{stem.name}.lock")):
                rows = _written(source, final, PixelFiles(stem.with_name(f"{stem.name}.part"), shape))
        except OSError as error:
            _log.warning(
                "%s cannot be written (%s): the images are decoded into memory, as again by the next run",
                *(final.pixels, error.strerror),
            )
            return _in_memory(source, shape)
    return Pixels(mapped(final.pixels, (int(rows["usable"].sum()), *shape)), rows)


def _key(source: Source, shape: tuple[int, ...]) -> str:
    words = [str(source.root.resolve()), str(source.form), str(shape), *source.names]
    return hashlib.sha256("\0".join(words).encode(errors="surrogateescape")).hexdigest()[:16]


def _shape(source: Source) -> tuple[int, ...]:
    """Returns the shape of all images: that of the first usable one, if no size is asked for."""
    form = source.form
    if form.size is not None:
        return form.channels, form.size, form.size
    with _quiet():
        for name, file in zip(source.names, source.files, strict=True):
            pixels = read_image(file, partial(decode, form=form)).pixels
            if not isinstance(pixels, UnusableError):
                return pixels.shape
            if not source.skip:
                raise _refusal(source, {name: pixels})
    raise _none(source)


def _written(source: Source, final: PixelFiles, part: PixelFiles) -> Rows:
    """Decodes the images into the files `part`, which then take the place of `final`; returns all rows.

    Raises:
        OSError: the files cannot be written; if there is no room for them, they are removed.
        UserError: as `load_pixels`.
    """
    files = source.files
    rows = final.sound(files, source.skip)
    if len(rows) == len(files):  # by another process in the meantime
        return rows
    kept = part.sound(files, source.skip)
    _log.info("Decoding %d images of %s into %s", len(files) - len(kept), source.root, final.pixels)
    try:
        with part.appending(kept, len(files)) as append:
            _decode(source, len(kept), part.shape, append)
    except OSError as error:
        if error.errno in FULL:
            part.remove()
        raise
    rows = part.sound(files, source.skip)
    if len(rows) < len(files):
        raise _changed(source, len(rows))
    if not rows["usable"].any():
        raise _none(source)
    part.replace(final)
    return rows


def _in_memory(source: Source, shape: tuple[int, ...]) -> Pixels:
    """Decodes the images into memory.

    Raises:
        UserError: as `load_pixels`; or there is too little memory.
    """
    files, rows = source.files, b""
    size = len(files) * prod(shape)
    require_memory(size, memory_limit(), f"{source.key('size')}={source.form.size}", "the decoded images take")
    images, used = np.empty((len(files), *shape), np.uint8), 0

    def append(done: Sequence[Image]) -> None:
        nonlocal rows, used
        for image in done:
            if not isinstance(image.pixels, UnusableError):
                images[used] = image.pixels
                used += 1
        rows += b"".join(image.row for image in done)

    _decode(source, 0, shape, append)
    if not used:
        raise _none(source)
    read = np.frombuffer(rows, ROW)
    for number, (row, file) in enumerate(zip(read, files, strict=True)):
        if not is_unchanged(row, file):
            raise _changed(source, number)
    return Pixels(torch.from_numpy(images[:used]), read)


def _decode(source: Source, start: int, shape: tuple[int, ...], append: Callable[[Sequence[Image]], None]) -> None:
    """Decodes the images from number `start` on, some at a time.

    Raises:
        UserError: as `load_pixels`.
    """
    read = partial(read_image, decode=partial(decode, form=source.form))
    names, files = source.names, source.files
    step = max(1, min(AT_A_TIME, BYTES_AT_A_TIME // prod(shape)))
    # Threads are enough: Pillow's decoders run beside each other.
    with _quiet(), ThreadPoolExecutor(torch.get_num_threads()) as pool, _bar(len(files), start) as advance:
        for first in range(start, len(files), step):
            done = list(pool.map(read, files[first : first + step]))
            named = dict(zip(names[first : first + step], (image.pixels for image in done), strict=True))
            wrong = {name: why for name, why in named.items() if isinstance(why, UnusableError)}
            if wrong and not source.skip:
                raise _refusal(source, wrong)
            for name, pixels in named.items():
                if not isinstance(pixels, UnusableError) and pixels.shape != shape:
                    raise _mixed(source, name, pixels.shape, shape)
            append(done)
            advance(len(done))


def _refusal(source: Source, wrong: Mapping[str, UnusableError]) -> UserError:
    said = [f"{shown(name)} {why}" for name, why in list(wrong.items())[:NAMED]]
    more = f", and {len(wrong) - NAMED} more cannot be used" if len(wrong) > NAMED else ""
    clear = any(isinstance(why, TransparentError) for why in wrong.values())
    colour = f", give {source.key('background')}=white or black for transparent pixels" if clear else ""
    return UserError(
        f"{shown(source.root)}: {'; '.join(said)}{more}: replace or remove such images{colour}, or leave them out with "
        f"{source.key('unreadable')}=skip"
    )


def _none(source: Source) -> UserError:
    key = source.key("unreadable")
    return UserError(f"{shown(source.root)}: none of its {len(source.names)} images can be used; {key}=error says why")


def _mixed(source: Source, name: str, found: Sequence[int], shape: Sequence[int]) -> UserError:
    return UserError(
        f"{source.key('size')}=null: {shown(source.root / name)} has {found[1]} x {found[2]} pixels (height x width), "
        f"others {shape[1]} x {shape[2]}; give {source.key('size')}=64, say, to bring all to one size"
    )


def _changed(source: Source, number: int) -> UserError:
    return UserError(
        f"{shown(source.root / source.names[number])}: has changed while the images were read; once nothing is written "
        "to that folder any more, the same command goes on"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Makes Pillow refuse images with too many pixels, and say nothing of smaller faults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        yield


@contextmanager
def _bar(total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on a terminal, and yields a function that advances it."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_interactive) as bar:
        task = bar.add_task("decoding images", total=total, completed=done)
        yield partial(bar.advance, task)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Locks a file, as soon as no other process has it locked."""
    with ExitStack() as stack:
        told = False
        while True:
            try:
                stack.enter_context(locked(path))
                break
            except BusyError:
                if not told:
                    _log.info("Waiting for another process that decodes the same images (%s)", path)
                told = True
                sleep(WAIT_S)
        yield

"""Lists of a user's image files with their classes: from a folder per class, or from a csv file."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.core.regular_files import read_regular
from hnet_cl.datasets.held_out import listed
from hnet_cl.datasets.image_pixels import SUFFIXES

PARTS = ("train", "test")
DEPTH = 16  # of folders below a class folder
CSV_LIMIT = 1 << 28  # bytes
COLUMNS = ("path", "label")  # of a csv file; the columns split and task may be missing


class ImageFile(NamedTuple):
    """An image file: its path relative to the root, its class, its part (None if still to be chosen), and its task."""

    path: str
    label: str
    part: str | None = None
    task: str | None = None


@dataclass(frozen=True)
class ImageList:
    """Image files in a fixed order, and the paths of other files and folders that were passed over."""

    images: Sequence[ImageFile]
    others: Sequence[str]


def in_folders(root: Path) -> ImageList:
    """Lists images `root`/CLASS/**, or `root`/train/CLASS/** and `root`/test/CLASS/**, in the order of their paths.

    Links to files and folders are followed; names that begin with a dot are passed over without mention.

    Raises:
        UserError: a folder cannot be listed, or contains itself by a link; there are no images; a class cannot be shown
            in a line; or only one of train and test is there.
    """
    folders, _ = _entries(root)
    halves = [name for name in PARTS if name in folders and not any(map(is_image, _entries(root / name)[1]))]
    if len(halves) == 1 and _entries(root / halves[0])[0]:
        (other,) = set(PARTS) - set(halves)
        raise UserError(
            f"{root}: has a folder {halves[0]} with classes and no folder {other} but {_there(root)}; add it, or put "
            "all classes into one folder, of which a share is held out to test with"
        )
    images: list[ImageFile] = []
    others: list[str] = []
    for part in halves if len(halves) == 2 else [None]:
        _list_classes(root, part, images, others)
    if len(halves) == 2:
        others += [name for kind in _entries(root) for name in kind if name not in PARTS]
    if not images:
        expected = f"expected a folder per class with images in it ({', '.join(SUFFIXES)})"
        raise UserError(f"{root}: has no images in folders but {_there(root)}; {expected}")
    return ImageList(images, others)


def is_image(name: str) -> bool:
    """Tells whether a file name ends as those of images do."""
    return name.lower().endswith(SUFFIXES)


def _list_classes(root: Path, part: str | None, images: list[ImageFile], others: list[str]) -> None:
    """Adds the images in the class folders of one part, and the paths of other files."""
    below = f"{part}/" if part else ""
    folders, files = _entries(root / below)
    others += [below + name for name in files]
    for label in folders:
        if not label.isprintable():
            raise UserError(f"{root / below}: the folder name {label!a} cannot be shown in a line; rename it")
        paths = list(_files(root, below + label, ()))
        own = [ImageFile(path, label, part) for path in paths if is_image(path)]
        images += own
        others += [path for path in paths if not is_image(path)] if own else [f"{below}{label}/"]


def _files(root: Path, folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Yields the paths, relative to the root, of all files below a folder; `above` are the folders that it is in."""
    try:
        status = (root / folder).stat()
    except OSError as error:
        raise UserError(f"{shown(root / folder)} cannot be listed ({error.strerror}): make it readable") from error
    here = (status.st_dev, status.st_ino)
    if here in above or len(above) > DEPTH:
        raise UserError(f"{shown(root / folder)}: is a link to a folder that it is in, or too deep; remove it")
    folders, files = _entries(root / folder)
    yield from (f"{folder}/{name}" for name in files)
    for name in folders:
        yield from _files(root, f"{folder}/{name}", (*above, here))


def _entries(folder: Path) -> tuple[list[str], list[str]]:
    """Returns the sorted names of folders and of everything else in a folder, without names that begin with a dot.

    Raises:
        UserError: the folder is missing or cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry.name, entry.is_dir()) for entry in found if not entry.name.startswith("."))
    except OSError as error:
        raise UserError(f"{shown(folder)} cannot be listed ({error.strerror}): give a folder that can") from error
    return [name for name, is_dir in entries if is_dir], [name for name, is_dir in entries if not is_dir]


def _there(folder: Path) -> str:
    folders, files = _entries(folder)
    return listed([f"{name}/" for name in folders] + files, 5) or "nothing"


def in_csv(path: Path) -> ImageList:
    """Reads a csv file with a header and the columns path, label and, if wanted, split (train or test) and task.

    The images are in the order of their paths; other columns are passed over.

    Raises:
        UserError: the file cannot be read, lacks columns or images, or a row is wrong or names an image again.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_regular(path, CSV_LIMIT).decode("utf-8-sig"), newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read ({error.strerror}): give a csv file that may be read") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{shown(path)} cannot be read as a csv file ({error}): give one in UTF-8") from error
    columns = reader.fieldnames or []
    if missing := [name for name in COLUMNS if name not in columns]:
        there = listed(columns, 5) or "nothing"
        raise UserError(
            f"{shown(path)}: its first line has no {' and '.join(missing)} but {there}; it must name the columns path, "
            "label and, if you like, split and task"
        )
    images = [_from_row(f"{shown(path)}, line {line}", row) for line, row in rows]
    images.sort(key=lambda image: image.path)
    if not images:
        raise UserError(f"{shown(path)}: names no images; expected a line for each, below the names of the columns")
    if twice := next((one for one, after in pairwise(images) if one.path == after.path), None):
        raise UserError(f"{shown(path)}: names {shown(twice.path)} twice; leave one of the two out")
    return ImageList(images, [])


def _from_row(where: str, row: dict[str, str | None]) -> ImageFile:
    values = {name: row.get(name) or "" for name in (*COLUMNS, "split", "task")}
    for name in COLUMNS:
        if not values[name]:
            raise UserError(f"{where}: has no {name}; add it, or remove the line")
    if not values["label"].isprintable():
        raise UserError(f"{where}: the label {values['label']!a} cannot be shown in a line; expected one that can")
    part = values["split"].strip().lower()
    if part not in (*PARTS, "") or ("split" in row and not part):
        raise UserError(f"{where}: split is {shown(part) or 'empty'}; expected train or test")
    return ImageFile(values["path"], values["label"], part or None, values["task"] or None)

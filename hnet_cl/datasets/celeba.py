"""CelebA: the images, and their assignment to tasks, from published lists or at random.

All files are in one folder, with torchvision's layout: `img_align_celeba/*.jpg`, `list_attr_celeba.txt`,
`list_eval_partition.txt` and `identity_CelebA.txt`; lists in LEAF's format are in the same folder.
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Generator, Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.core.regular_files import read_regular
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets._elsewhere import elsewhere
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.cache import cached
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import AUGMENTATIONS, Augmentation, Normalize

IMAGES = "img_align_celeba"
ATTRIBUTES = "list_attr_celeba.txt"
IDENTITIES = "identity_CelebA.txt"
LABEL = "Smiling"
TEXT_LIMIT, IMAGE_LIMIT = 1 << 28, 1 << 26  # bytes; the largest files of CelebA have 27 MB and 0.1 MB

PARTITION = "list_eval_partition.txt"
TRAIN, TEST = "0", "2"  # in PARTITION, where 1 marks validation images
CLASSES = ["not smiling", "smiling"]
MEAN, STD = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)  # as in the code of CAT

Labelled = tuple[str, int]  # an image's file name, and 1 for smiling or 0


class CelebA(Dataset):
    """Faces, resized to `size` x `size`, labelled as smiling or not: Liu, Luo, Wang & Tang, ICCV 2015."""

    class Settings(Dataset.Settings):
        size: Annotated[int, Field(ge=8, le=178)]
        augment: Augmentation

    num_classes = 2

    def load(self) -> Data:
        """Reads the published training and test images.

        Raises:
            UserError: files are missing or damaged.
        """
        smiling = _smiling(self.folder / ATTRIBUTES)
        part_of = _pairs_of(self.folder / PARTITION)
        parts = []
        for number in (TRAIN, TEST):
            names = [name for name in smiling if part_of.get(name) == number]
            if not names:
                raise UserError(f"{self.folder / PARTITION} names no image of part {number}: download it again")
            parts.append(Part(self.images(names), torch.tensor([smiling[name] for name in names])))
        train, test = parts
        return Data(train, test, CLASSES, DataIdentity("celeba", "files", fingerprint(*train, *test)))

    @property
    def folder(self) -> Path:
        """Returns the folder that holds all files of CelebA."""
        return self.data_dir / "celeba"

    def images(self, names: Sequence[str]) -> Tensor:
        """Loads the images `names` with `load_images`."""
        return load_images(self.folder, self.data_dir, names, self.settings.size)

    def encoder(self, device: torch.device) -> Normalize:
        """Returns an encoder that scales pixels to [0, 1] and normalises them."""
        return Normalize.of(MEAN, STD, device)

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        """Returns the augmentation that the settings choose."""
        return AUGMENTATIONS[self.settings.augment]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Returns (3, size, size): the shape of the resized images."""
        return 3, self.settings.size, self.settings.size


@dataclass(frozen=True)
class Share:
    """The images of one task: file names with labels, 1 for smiling and 0 for not smiling."""

    name: str
    train: Sequence[Labelled]
    test: Sequence[Labelled]


def listed(folder: Path, train_list: str, test_list: str, number: int) -> list[Share]:
    """Reads the images of the first `number` users that are in both of two lists in LEAF's format (JSON).

    Users are ordered by their names as text.

    Raises:
        UserError: a list is missing, damaged or too short, or an image is in both lists.
    """
    train, test = (_read_leaf(folder / name) for name in (train_list, test_list))
    users = sorted(train.keys() & test.keys())[:number]
    if len(users) < number:
        raise UserError(f"benchmark.num_tasks={number}: {train_list} and {test_list} have only {len(users)} users")
    both = {name for user in users for name, _ in train[user]} & {name for user in users for name, _ in test[user]}
    if both:
        raise UserError(f"{folder / test_list}: {min(both)} is in {train_list} too; test images must be others")
    return [Share(f"user {user}", train[user], test[user]) for user in users]


def _read_leaf(path: Path) -> dict[str, list[Labelled]]:
    remedy = "put the list there, or give benchmark.partition=iid to draw the tasks from all of CelebA"
    try:
        content = json.loads(read_regular(path, TEXT_LIMIT))
        data = {user: _pairs(content["user_data"][user]) for user in content["users"] if _is_file_name(user)}
        if len(data) < len(content["users"]):
            raise ValueError("a user twice, or with a name that cannot be shown")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {remedy}{_found_elsewhere(path)}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is no list in LEAF's format ({type(error).__name__}: {error}): {remedy}") from error
    return data


def _pairs(entry: Any) -> list[Labelled]:
    if not entry["x"]:
        raise ValueError("a user without images")
    for name, label in zip(entry["x"], entry["y"], strict=True):
        if not _is_file_name(name) or label not in (0, 1):
            raise ValueError(f"{name!r} labelled {label!r} is no file name with 0 or 1")
    return [(name, int(label)) for name, label in zip(entry["x"], entry["y"], strict=True)]


def _is_file_name(name: str) -> bool:
    """Tells whether `name` is a bare file name, which cannot refer to a file in another folder."""
    return Path(name).name == name and name.isprintable() and name != ".."


def drawn(folder: Path, by_identity: bool, sizes: tuple[int, int], number: int, seed: int) -> list[Share]:
    """Draws `number` tasks of `sizes` (training, test) images from all of CelebA; no image is in two tasks.

    With `by_identity`, no person is in two tasks either: persons, in random order, fill one task after another (a
    person has at most 35 images, so a task of a hundred holds several). Otherwise images are drawn uniformly.

    Raises:
        UserError: CelebA's text files are missing or damaged, or hold too few images.
    """
    smiling = _smiling(folder / ATTRIBUTES)
    names = list(smiling)
    rng = stream(seed, Stream.CELEBA)
    need = sum(sizes)
    if by_identity:
        pools = _by_person(names, _pairs_of(folder / IDENTITIES), need, rng)
    else:
        order = torch.randperm(len(names), generator=rng).tolist()
        pools = [[names[i] for i in order[start : start + need]] for start in range(0, len(names) - need + 1, need)]
    if len(pools) < number:
        raise UserError(
            f"benchmark.num_tasks={number}: CelebA in {folder} has images for {len(pools)} tasks of "
            f"{sizes[0]} + {sizes[1]}; lower num_tasks, train_per_task or test_per_task"
        )
    shares = []
    for task, pool in enumerate(pools[:number]):
        pairs = [(name, smiling[name]) for name in pool]
        shares.append(Share(f"draw {task + 1}", pairs[: sizes[0]], pairs[sizes[0] :]))
    return shares


def _by_person(names: Sequence[str], person: dict[str, str], need: int, rng: torch.Generator) -> list[list[str]]:
    """Draws pools of `need` images each; the images of one person are all in the same pool, or left out.

    Raises:
        UserError: `person` lacks an image.
    """
    images: dict[str, list[str]] = {}
    for name in names:
        if name not in person:
            raise UserError(f"{IDENTITIES} does not name the person of {name}: it is incomplete, download it again")
        images.setdefault(person[name], []).append(name)
    persons = list(images)
    pools: list[list[str]] = []
    pool: list[str] = []
    for i in torch.randperm(len(persons), generator=rng).tolist():
        pool += images[persons[i]]
        if len(pool) >= need:
            pools.append([pool[j] for j in torch.randperm(len(pool), generator=rng)[:need].tolist()])
            pool = []
    return pools


def _smiling(path: Path) -> dict[str, int]:
    """Reads labels (1 for smiling) by file name, in the order of CelebA's file of attributes.

    The file holds the number of images, the names of the attributes, then a row for each image.

    Raises:
        UserError: the file is missing or damaged.
    """
    count, header, *rows = _lines(path)
    names = " ".join(header).split()
    if LABEL not in names or count != [str(len(rows))] or any(len(row) != len(names) + 1 for row in rows):
        raise UserError(
            f"{path} is damaged or cut short ({len(rows)} rows, announced: {' '.join(count)}): download it again"
        )
    if strange := next((row[0] for row in rows if not _is_file_name(row[0])), None):
        raise UserError(f"{path} is damaged: {strange!a} is no file name; download it again")
    column = names.index(LABEL) + 1
    return {row[0]: int(row[column] == "1") for row in rows}


def _pairs_of(path: Path) -> dict[str, str]:
    """Reads a file whose rows are an image's name and a number; returns the numbers, as text, by name.

    Raises:
        UserError: the file is missing or damaged.
    """
    rows = _lines(path)
    if any(len(row) != 2 for row in rows):
        raise UserError(f"{path} is damaged: every row must be a file name and a number; download it again")
    return {row[0]: row[1] for row in rows}


def _lines(path: Path) -> list[list[str]]:
    try:
        rows = [line.split() for line in read_regular(path, TEXT_LIMIT).decode().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); put CelebA there as torchvision has it, or set data_dir (or "
            f"HNET_CL_DATA) to the folder that has it in celeba{_found_elsewhere(path)}"
        ) from error
    if len(rows) < 3:
        raise UserError(f"{path} is damaged or cut short: it has {len(rows)} lines; download it again")
    return rows


def load_images(folder: Path, data_dir: Path, names: Sequence[str], size: int) -> Tensor:
    """Loads the images `names` as uint8 (n, 3, size, size), resized without cropping, by bilinear interpolation.

    The decoded images are cached in `data_dir` under a checksum of the names and contents of all files and `size`.

    Raises:
        UserError: an image is missing, damaged or cut short; the message names it.
    """
    digest = hashlib.sha256(f"{size}".encode())
    contents = []
    for name in names:
        path = folder / IMAGES / name
        try:
            contents.append(read_regular(path, IMAGE_LIMIT))
        except OSError as error:
            remedy = _where_images_are(folder, name) or "put the image there"
            raise UserError(f"{path} cannot be read ({error.strerror}): {remedy}") from error
        digest.update(f"/{name}/{len(contents[-1])}/".encode() + contents[-1])

    def decode() -> tuple[Tensor, ...]:
        decoded = [_decode(folder / IMAGES / name, raw, size) for name, raw in zip(names, contents, strict=True)]
        return (torch.stack(decoded),)

    return cached(data_dir, "celeba", digest.hexdigest()[:16], decode)[0]


def _found_elsewhere(path: Path) -> str:
    found = elsewhere({path.name, f"{path.stem}.csv"}, path.parent.parent, path)
    return f": there is {found}" if found else ""


def _where_images_are(folder: Path, name: str) -> str | None:
    """Returns what to do about images that are in another place; None if they are not found."""
    if (deeper := folder / IMAGES / IMAGES).is_dir():
        return f"its images are one folder too deep, in {deeper}: move that to {folder / IMAGES}"
    if found := elsewhere({name, f"{IMAGES}.zip"}, folder.parent, folder / IMAGES / name):
        if found.suffix == ".zip":
            return f"unpack {found} into {folder}"
        return f"move the images from {found.parent} to {folder / IMAGES}"
    return None


def _decode(path: Path, raw: bytes, size: int) -> Tensor:
    try:
        with Image.open(io.BytesIO(raw), formats=("JPEG", "PNG")) as image:
            small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "it is no image" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise UserError(f"{path} is damaged or cut short ({reason}): replace it") from error
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)

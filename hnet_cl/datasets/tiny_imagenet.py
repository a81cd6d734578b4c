"""Tiny ImageNet, from the published archive, the folder that it unpacks to, or a download."""

import hashlib
import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.core.regular_files import open_regular, read_regular
from hnet_cl.datasets._published import fetched_from, verify
from hnet_cl.datasets.base import Data, Part
from hnet_cl.datasets.cache import cached
from hnet_cl.datasets.colour import ColourImages
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import Statistics

URL = "https://cs231n.stanford.edu"
ARCHIVE, CHECKSUM = "tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"  # MD5
FOLDER = "tiny-imagenet-200"
SIDE = 64
LIMIT = 1 << 24  # bytes of one file; the largest has 3 MB

Read = Callable[[str], bytes]  # reads a file by its path below FOLDER


class TinyImageNet(ColourImages):
    """Natural images of 200 classes, 64 x 64: Le & Yang, CS 231N, Stanford, 2015.

    100,000 training images; the 10,000 validation images serve for testing, as the test images have no labels.
    """

    image_shape = (3, SIDE, SIDE)
    num_classes = 200
    statistics = Statistics((0.4802, 0.4481, 0.3975), (0.2764, 0.2689, 0.2816))

    def load(self) -> Data:
        """Reads `data_dir`/tiny-imagenet-200.zip or the folder that it unpacks to; fetches the archive if both lack.

        Decoded images are cached in `data_dir`, under the checksum of the archive, or under names, sizes and times of
        the folder's files.

        Raises:
            UserError: a file is damaged or unreadable, or missing and cannot be fetched.
        """
        archive, folder, origin = self.data_dir / ARCHIVE, self.data_dir / FOLDER, "files"
        packed = archive.exists() or not folder.is_dir()
        if not archive.exists() and packed:
            origin = fetched_from(URL, self.data_dir, {ARCHIVE: CHECKSUM}, self.settings.name)
        try:
            if packed:
                verify(archive, CHECKSUM)
                with open_regular(archive) as file, zipfile.ZipFile(file) as members:
                    names = [name.removeprefix(f"{FOLDER}/") for name in members.namelist()]
                    return self._data(lambda name: members.read(f"{FOLDER}/{name}"), names, CHECKSUM, origin)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            seen = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
            key = hashlib.sha256("\n".join(f"{n} {s.st_size} {s.st_mtime_ns}" for n, s in seen).encode()).hexdigest()
            return self._data(lambda name: read_regular(folder / name, LIMIT), [name for name, _ in seen], key)
        except (OSError, KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
            place = archive if packed else folder
            raise UserError(
                f"{place} is damaged or incomplete ({error}): remove it to have it fetched again"
            ) from error

    def _data(self, read: Read, names: Sequence[str], key: str, origin: str | None = None) -> Data:
        """Decodes the images among the files `names`, or takes them from the cache; `origin` is None if unverified."""
        wnids = sorted(read("wnids.txt").decode().split())
        if not wnids:
            raise ValueError("wnids.txt is empty")
        number = {wnid: label for label, wnid in enumerate(wnids)}
        rows = [line.split("\t") for line in read("val/val_annotations.txt").decode().splitlines()]
        test = [(f"val/images/{row[0]}", number[row[1]]) for row in rows]
        train = [
            (name, number[name.split("/")[1]]) for name in sorted(names) if name.startswith("train/") and _jpeg(name)
        ]

        def decode() -> tuple[Tensor, ...]:
            return tuple(torch.stack(list(_decoded(read, [name for name, _ in half]))) for half in (train, test))

        images = cached(self.data_dir, "tiny_imagenet", key[:16], decode)
        parts = [
            Part(own, torch.tensor([label for _, label in half]))
            for own, half in zip(images, (train, test), strict=True)
        ]
        identity = DataIdentity(
            "tiny_imagenet", origin or "files", fingerprint(*parts[0], *parts[1]), origin is not None
        )
        return Data(parts[0], parts[1], _class_names(read("words.txt").decode(), wnids), identity)


def _jpeg(name: str) -> bool:
    return name.lower().endswith((".jpeg", ".jpg"))


def _decoded(read: Read, names: Sequence[str]) -> Iterator[Tensor]:
    """Decodes images one after another, as uint8 (3, 64, 64).

    Raises:
        OSError, KeyError: one is missing.
        ValueError: one is damaged or of another size; the message names it.
    """
    for name in names:
        raw = read(name)
        try:
            with Image.open(io.BytesIO(raw), formats=("JPEG",)) as image:
                pixels = np.array(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"{name}: {error}") from error
        if pixels.shape != (SIDE, SIDE, 3):
            raise ValueError(f"{name} has {pixels.shape[1]} x {pixels.shape[0]} pixels")
        yield torch.from_numpy(pixels).permute(2, 0, 1)


def _class_names(words: str, wnids: Sequence[str]) -> list[str]:
    """Returns the first word of each class; classes that share it are told apart by their WordNet ids."""
    lines = (line.partition("\t") for line in words.splitlines())
    word = {wnid: names.partition(",")[0].strip() for wnid, _, names in lines}
    found = [word.get(wnid, wnid) for wnid in wnids]
    shared = Counter(found)
    return [name if shared[name] == 1 else f"{name} {wnid}" for name, wnid in zip(found, wnids, strict=True)]

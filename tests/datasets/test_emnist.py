"""EMNIST: read from the published archive or its unpacked files, upright, with labels from 0."""

import gzip
import hashlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import emnist
from hnet_cl.datasets.base import examples
from hnet_cl.datasets.emnist import EMNIST, SPLITS

LABELS = {"train": [1, 26, 3], "test": [26, 1]}


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def images(half: str) -> np.ndarray:
    return np.random.default_rng(len(half)).integers(0, 256, (len(LABELS[half]), 2, 3), dtype=np.uint8)


@pytest.fixture
def files() -> dict[str, bytes]:
    """The four files of the letters: images of 2 rows and 3 columns, of which EMNIST's upright ones have 3 and 2."""
    found = {}
    for half, labels in LABELS.items():
        found[f"emnist-letters-{half}-images-idx3-ubyte"] = idx(images(half))
        found[f"emnist-letters-{half}-labels-idx1-ubyte"] = idx(np.array(labels, dtype=np.uint8))
    return found


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def archive(files: dict[str, bytes], raw: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive in the published form that passes for the published one."""
    path = raw / "gzip.zip"
    with zipfile.ZipFile(path, "w") as members:
        for name, content in files.items():
            members.writestr(f"gzip/{name}.gz", gzip.compress(content))
    monkeypatch.setattr(emnist, "CHECKSUM", hashlib.md5(path.read_bytes()).hexdigest())
    return path


def letters(data_dir: Path, split: str = "letters") -> EMNIST:
    return EMNIST(EMNIST.Settings(name="emnist", split=split), data_dir)


def require_letters(data_dir: Path, fixed: bool) -> None:
    data = examples(letters(data_dir))
    for half, part in (("train", data.train), ("test", data.test)):
        assert torch.equal(part.images, torch.from_numpy(images(half)).transpose(1, 2)[:, None])
        assert part.labels.tolist() == [label - 1 for label in LABELS[half]]
    assert (data.class_names[0], data.class_names[25]) == ("a", "z")
    assert (data.identity.name, data.identity.source, data.identity.fixed) == ("emnist-letters", "files", fixed)


def test_the_archive(archive: Path, tmp_path: Path) -> None:
    require_letters(tmp_path, fixed=True)


def test_unpacked_files_are_not_verified(files: dict[str, bytes], raw: Path, tmp_path: Path) -> None:
    for name, content in files.items():
        (raw / name).write_bytes(content)
    require_letters(tmp_path, fixed=False)
    name = "emnist-letters-test-images-idx3-ubyte"
    (raw / name).write_bytes(files[name][:-1])
    with pytest.raises(UserError, match=rf"^{raw / name} cannot be read \(cannot reshape .*\): make it readable"):
        letters(tmp_path).load()


def test_another_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(archive.read_bytes() + b" ")
    with pytest.raises(UserError, match=rf"^{archive} is damaged: its MD5 is .*delete it to have it fetched again$"):
        letters(tmp_path).load()


@pytest.mark.parametrize(
    ("split", "classes"),
    [("byclass", 62), ("bymerge", 47), ("balanced", 47), ("letters", 26), ("digits", 10), ("mnist", 10)],
)
def test_the_published_numbers_of_classes(split: str, classes: int, tmp_path: Path) -> None:
    assert letters(tmp_path, split).num_classes == classes == len(set(SPLITS[split].classes))

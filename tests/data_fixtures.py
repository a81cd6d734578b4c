"""A tiny MNIST whose checksums stand in for the real ones."""

import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from hnet_cl.datasets import mnist


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four idx files (6 training and 4 test images of 2 x 3 pixels) that pass for MNIST."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(0)
    checksums = {}
    for name in mnist.CHECKSUMS:
        count = 6 if name.startswith("train") else 4
        shape = (count, 2, 3) if "images" in name else (count,)
        values = rng.integers(0, 10, shape, dtype=np.uint8)
        header = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
        (folder / name).write_bytes(header + values.tobytes())
        checksums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(mnist, "CHECKSUMS", checksums)
    return folder


@pytest.fixture(scope="session")
def full_data() -> Path:
    """The folder with the real MNIST, where HNET_CL_DATA names one."""
    folder = Path(os.environ.get("HNET_CL_DATA", ""))
    if "HNET_CL_DATA" not in os.environ or not (folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").exists():
        pytest.skip("HNET_CL_DATA names no folder with MNIST/raw")
    return folder


@pytest.fixture(scope="session")
def full_cifar() -> Path:
    """The folder with the real CIFAR-10 and CIFAR-100, where HNET_CL_DATA names one."""
    folder = Path(os.environ.get("HNET_CL_DATA", ""))
    if "HNET_CL_DATA" not in os.environ or not (folder / "cifar-100-python" / "test").exists():
        pytest.skip("HNET_CL_DATA names no folder with cifar-10-batches-py and cifar-100-python")
    return folder


@pytest.fixture
def full_celeba(tmp_path: Path) -> Path:
    """A folder with links to the real faces and lists of F-CelebA, where HNET_CL_DATA names them."""
    folder = Path(os.environ.get("HNET_CL_DATA", "")) / "celeba"
    if "HNET_CL_DATA" not in os.environ or not list(folder.glob("all_data_iid_*.json")):
        pytest.skip("HNET_CL_DATA names no folder with celeba and the lists of F-CelebA")
    (tmp_path / "celeba").symlink_to(folder.resolve())
    return tmp_path

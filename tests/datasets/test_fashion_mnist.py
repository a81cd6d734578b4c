"""Fashion-MNIST: read from torchvision's layout, packed or not; what cannot be had is one line."""

import gzip
import os
import shutil
from pathlib import Path

import pytest
import torch

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import mnist
from hnet_cl.datasets.base import examples
from hnet_cl.datasets.mnist import FashionMNIST


@pytest.fixture(autouse=True)
def _offline(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny files of MNIST pass for these, and nothing is fetched."""

    def refuse(*_: object) -> None:
        raise ConnectionError("torchvision download: no network")

    monkeypatch.setattr(mnist, "fetch", refuse)
    monkeypatch.setattr(mnist, "FASHION_CHECKSUMS", mnist.CHECKSUMS)


def clothes(data_dir: Path) -> FashionMNIST:
    return FashionMNIST(FashionMNIST.Settings(name="fashion_mnist"), data_dir)


@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "FashionMNIST"])
@pytest.mark.parametrize("packed", [False, True])
def test_files_are_read_as_they_are(folder: str, packed: bool, tiny: Path, tmp_path: Path) -> None:
    place = tmp_path / "data" / folder
    shutil.copytree(tiny, place)
    for path in place.iterdir() if packed else ():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    data = clothes(tmp_path / "data").load()
    assert data.train.images.shape == (6, 1, 2, 3)
    assert data.train.images.flatten().tolist() == list((tiny / "train-images-idx3-ubyte").read_bytes()[16:])
    assert data.test.labels.tolist() == list((tiny / "t10k-labels-idx1-ubyte").read_bytes()[8:])
    assert (data.identity.name, data.identity.source, data.identity.fixed) == ("fashion_mnist", "files", True)


def test_files_of_mnist_itself_are_not_taken(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "data" / "MNIST" / "raw")
    with pytest.raises(UserError) as caught:
        clothes(tmp_path / "data").load()
    message = str(caught.value)
    assert message.startswith("dataset=fashion_mnist: train-images-idx3-ubyte, ") and "\n" not in message
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    assert f"cannot be found in {raw} nor fetched (torchvision download: no network); put the files there" in message
    assert "(they are published at https://" in message
    assert "there is" not in message


def test_the_real_files(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.environ.get("HNET_CL_DATA", "nowhere"))
    if not (folder / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte").exists():
        pytest.skip("HNET_CL_DATA names no folder with FashionMNIST/raw")
    monkeypatch.undo()
    data = examples(clothes(folder))
    assert data.train.labels.bincount().tolist() == [6000] * 10 and data.test.labels.bincount().tolist() == [1000] * 10
    assert data.train.labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert clothes(folder).memory() == sum(part.images.nbytes for part in (data.train, data.test))
    assert data.train.images.dtype == torch.uint8 and data.in_shape == (1, 28, 28)


def test_debians_package_stands_in_for_a_download(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "dataset-fashion-mnist"
    package.mkdir()
    for path in tiny.iterdir():
        (package / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setattr(mnist, "DEBIAN", str(package))
    data = clothes(tmp_path / "data").load()
    assert data.train.images.flatten().tolist() == list((tiny / "train-images-idx3-ubyte").read_bytes()[16:])
    assert data.identity.source == "files" and not (tmp_path / "data").exists()

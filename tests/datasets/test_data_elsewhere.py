"""Data that lie in another place or form than torchvision's are read, or the line says where they are."""

import gzip
import hashlib
import os
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from tiny_images import write_celeba, write_cifar

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import _fetch, _idx_files, cifar, mnist
from hnet_cl.datasets._cifar_sets import CIFAR10, CifarSet
from hnet_cl.datasets.celeba import drawn, listed, load_images
from hnet_cl.datasets.cifar import load_cifar
from hnet_cl.datasets.mnist import load_mnist


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise OSError("no network")

    for module in (_idx_files, cifar):
        monkeypatch.setattr(module, "from_torchvision", refuse)
        monkeypatch.setattr(module, "from_npm", refuse)


def packed(tiny: Path, into: Path, spelled: str = "{}.gz") -> Path:
    """The four files of MNIST as they are published."""
    into.mkdir(parents=True)
    for path in tiny.iterdir():
        content = path.read_bytes()
        (into / spelled.format(path.name)).write_bytes(gzip.compress(content) if spelled.endswith(".gz") else content)
    return into


@pytest.mark.parametrize("place", ["", "MNIST", "MNIST/raw", "raw"])
@pytest.mark.parametrize("spelled", ["{}.gz", "{}"])
def test_mnist_is_read_where_people_put_it(place: str, spelled: str, tiny: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    folder = packed(tiny, data_dir / place, spelled)
    before = sorted(folder.iterdir())
    data = load_mnist("auto", data_dir)
    assert (data.identity.name, data.identity.source) == ("mnist", "files")
    assert data.train.images.flatten().tolist() == list((tiny / "train-images-idx3-ubyte").read_bytes()[16:])
    assert data.test.labels.tolist() == list((tiny / "t10k-labels-idx1-ubyte").read_bytes()[8:])
    assert sorted(folder.iterdir()) == before


def test_names_with_a_dot_are_as_good(tiny: Path, tmp_path: Path) -> None:
    for path in tiny.iterdir():
        shutil.copy(path, tmp_path / path.name.replace("-idx", ".idx"))
    assert load_mnist("full", tmp_path).identity.name == "mnist"


def test_packed_and_plain_files_of_one_data_set_mix(tiny: Path, tmp_path: Path) -> None:
    folder = packed(tiny, tmp_path / "MNIST" / "raw")
    shutil.copy(tiny / "t10k-labels-idx1-ubyte", tmp_path)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    identity = load_mnist("full", tmp_path).identity
    assert identity == load_mnist("full", packed(tiny, tmp_path / "whole", "{}")).identity


@pytest.mark.parametrize("damage", ["cut short", "no gzip", "other content"])
def test_a_damaged_packed_file_is_named(damage: str, tiny: Path, tmp_path: Path) -> None:
    path = packed(tiny, tmp_path / "data") / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()
    broken = {"cut short": content[:-20], "no gzip": b"x" + content, "other content": gzip.compress(b"other")}
    path.write_bytes(broken[damage])
    with pytest.raises(UserError) as caught:
        load_mnist("auto", tmp_path / "data")
    assert str(caught.value).startswith(f"{path} ") and "\n" not in str(caught.value)
    assert path.read_bytes() == broken[damage]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte cannot be read .it is no ordinary file"):
        load_mnist("auto", tmp_path)


def test_the_published_packed_files_are_those(full_data: Path, tmp_path: Path) -> None:
    for name in mnist.CHECKSUMS:
        content = (full_data / "MNIST" / "raw" / name).read_bytes()
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content, 1))
    assert load_mnist("full", tmp_path).identity.checksum == "ff93c4b7539df2aa"


def test_mnist_somewhere_else_is_pointed_to(tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = packed(tiny, tmp_path / "data" / "downloads" / "digits")
    assert load_mnist("auto", tmp_path / "data").identity.name == "mnist-5k"
    assert caplog.messages[0].endswith(f": there is {folder / 't10k-images-idx3-ubyte.gz'}")


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CifarSet:
    """A tiny CIFAR-10 whose checksums stand in for the real ones; its archive is in tmp_path."""
    write_cifar(tmp_path / "made", 10)
    folder = tmp_path / "made" / CIFAR10.folder
    (folder / "batches.meta").write_bytes(b"names")
    with tarfile.open(tmp_path / CIFAR10.archive, "w:gz") as tar:
        tar.add(folder, CIFAR10.folder)

    def sums(names: object) -> dict[str, str]:
        return {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in names}  # type: ignore[attr-defined]

    changes = {"train": sums(CIFAR10.train), "test": sums(CIFAR10.test), "meta": sums(CIFAR10.meta)}
    return CifarSet(**{**vars(CIFAR10), **changes, "per_class": (4, 2)})


def test_the_archive_of_cifar_is_unpacked(published: CifarSet, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    shutil.copy(tmp_path / CIFAR10.archive, data_dir)
    data = load_cifar(published, data_dir, "md5")
    assert (data.identity.source, len(data.train.labels), len(data.test.labels)) == (CIFAR10.archive, 40, 20)
    again = load_cifar(published, data_dir, "md5")
    assert again.identity.source == "files" and torch.equal(again.train.images, data.train.images)
    assert sorted(path.name for path in data_dir.iterdir()) == [CIFAR10.folder, CIFAR10.archive]


@pytest.mark.parametrize("damage", ["cut short", "another"])
def test_a_damaged_archive_is_in_the_line_and_leaves_nothing(damage: str, published: CifarSet, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    content = (tmp_path / CIFAR10.archive).read_bytes()
    (data_dir / CIFAR10.archive).write_bytes(content[:-100] if damage == "cut short" else b"another")
    with pytest.raises(UserError, match=rf"nor fetched \({CIFAR10.archive}: "):
        load_cifar(published, data_dir, "md5")
    assert [path.name for path in data_dir.iterdir()] == [CIFAR10.archive]


@pytest.mark.parametrize("place", ["deeper", "deeper/still", "above"])
def test_cifar_in_another_folder_is_pointed_to_before_anything_is_fetched(
    place: str, published: CifarSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fetch, "import_torchvision", lambda: pytest.fail("was fetched"))
    there = tmp_path / "data" / ("" if place == "above" else place)
    shutil.copytree(tmp_path / "made" / CIFAR10.folder, there / CIFAR10.folder)
    data_dir = there / CIFAR10.folder if place == "above" else tmp_path / "data"
    with pytest.raises(UserError) as caught:
        load_cifar(published, data_dir, "md5")
    assert str(caught.value) == (
        f"CIFAR10 is at {there / CIFAR10.folder} and looked for in {data_dir / CIFAR10.folder}: "
        f"set data_dir (or HNET_CL_DATA) to {there}"
    )


def remedy(folder: Path, data_dir: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_images(folder, data_dir, ["000001.jpg"], 8)
    line = str(caught.value)
    assert line.startswith(f"{folder / 'img_align_celeba' / '000001.jpg'} cannot be read (") and "\n" not in line
    return line.partition("): ")[2]


def test_images_of_celeba_that_are_packed_or_too_deep_are_pointed_to(tmp_path: Path) -> None:
    folder = write_celeba(tmp_path, 3, [1])
    images = folder / "img_align_celeba"
    assert len(load_images(folder, tmp_path, ["000001.jpg"], 8)) == 1
    images.rename(tmp_path / "celeba" / "moved")
    assert remedy(folder, tmp_path) == f"move the images from {folder / 'moved'} to {images}"
    images.mkdir()
    (folder / "moved").rename(images / "img_align_celeba")
    deeper = images / "img_align_celeba"
    assert remedy(folder, tmp_path) == f"its images are one folder too deep, in {deeper}: move that to {images}"
    shutil.rmtree(deeper)
    archive = tmp_path / "img_align_celeba.zip"
    archive.write_bytes(b"PK")
    assert remedy(folder, tmp_path) == f"unpack {archive} into {folder}"
    archive.unlink()
    assert remedy(folder, tmp_path) == "put the image there"


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_attr_celeba.csv"])
def test_lists_of_celeba_somewhere_else_are_pointed_to(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "celeba"
    (tmp_path / "Anno").mkdir()
    (tmp_path / "Anno" / name).write_text("")
    with pytest.raises(UserError) as caught:
        drawn(folder, False, (2, 1), 1, 1)
    assert str(caught.value).endswith(f": there is {tmp_path / 'Anno' / name}")
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(UserError) as caught:
        listed(folder, "train.json", "test.json", 1)
    assert str(caught.value).endswith(f": there is {tmp_path / 'train.json'}")

"""Tiny ImageNet: the published archive and the folder that it unpacks to hold the same data set."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import tiny_imagenet
from hnet_cl.datasets.base import Data, examples
from hnet_cl.datasets.tiny_imagenet import FOLDER, TinyImageNet

COLOURS = {"n02": (250, 10, 10), "n01": (10, 10, 250)}  # the order of wnids.txt is not that of the labels


def jpeg(colour: tuple[int, int, int], side: int = 64, mode: str = "RGB") -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (side, side), colour).convert(mode).save(picture, "JPEG", quality=95)
    return picture.getvalue()


def content() -> dict[str, bytes]:
    """The files below the folder: three training images and one test image of each of two classes."""
    files = {"wnids.txt": "\n".join(COLOURS).encode(), "words.txt": b"n01\tcrane, bird\nn02\tcrane\nn03\tcup"}
    rows = []
    for number, (wnid, colour) in enumerate(COLOURS.items()):
        files |= {f"train/{wnid}/images/{wnid}_{image}.JPEG": jpeg(colour) for image in range(3)}
        files[f"val/images/val_{number}.JPEG"] = jpeg(colour)
        rows.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t62\t62")
    return files | {"val/val_annotations.txt": "\n".join(rows).encode(), "train/n01/n01_boxes.txt": b"boxes"}


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    for name, raw in content().items():
        (tmp_path / FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / FOLDER / name).write_bytes(raw)
    return tmp_path


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / tiny_imagenet.ARCHIVE
    with zipfile.ZipFile(path, "w") as members:
        for name, raw in content().items():
            members.writestr(f"{FOLDER}/{name}", raw)
    monkeypatch.setattr(tiny_imagenet, "CHECKSUM", hashlib.md5(path.read_bytes()).hexdigest())
    return tmp_path


def images(data_dir: Path) -> TinyImageNet:
    return TinyImageNet(TinyImageNet.Settings(name="tiny_imagenet", augment="none", normalize=False), data_dir)


def require_both_classes(data: Data, fixed: bool) -> None:
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1] and data.test.labels.tolist() == [1, 0]
    assert data.in_shape == (3, 64, 64)
    for part in (data.train, data.test):
        for image, label in zip(part.images, part.labels.tolist(), strict=True):
            colour = torch.tensor(COLOURS[["n01", "n02"][label]])
            assert (image[:, 30, 30].int() - colour).abs().max() <= 3  # JPEG is not exact
    assert list(data.class_names) == ["crane n01", "crane n02"]
    assert (data.identity.name, data.identity.source, data.identity.fixed) == ("tiny_imagenet", "files", fixed)


def test_the_archive_is_decoded_once(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_both_classes(examples(images(packed)), fixed=True)
    monkeypatch.setattr(tiny_imagenet, "_decoded", None)
    require_both_classes(examples(images(packed)), fixed=True)


def test_the_folder_is_decoded_anew_when_it_changes(unpacked: Path) -> None:
    require_both_classes(examples(images(unpacked)), fixed=False)
    (unpacked / FOLDER / "train/n01/images/n01_2.JPEG").unlink()
    assert images(unpacked).load().train.labels.tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (jpeg((0, 0, 0))[:100], "train/n02/images/n02_1.JPEG"),
        (jpeg((0, 0, 0), side=63), "train/n02/images/n02_1.JPEG has 63 x 63 pixels"),
        (b"", "train/n02/images/n02_1.JPEG"),
    ],
    ids=["cut short", "another size", "empty"],
)
def test_a_damaged_image_is_named_in_one_line(raw: bytes, reason: str, unpacked: Path) -> None:
    (unpacked / FOLDER / "train/n02/images/n02_1.JPEG").write_bytes(raw)
    with pytest.raises(UserError) as caught:
        images(unpacked).load()
    message = str(caught.value)
    assert message.startswith(f"{unpacked / FOLDER} is damaged or incomplete (") and "\n" not in message
    assert reason in message


def test_a_grey_image_gets_three_channels(unpacked: Path) -> None:
    (unpacked / FOLDER / "val/images/val_0.JPEG").write_bytes(jpeg((90, 90, 90), mode="L"))
    grey = images(unpacked).load().test.images[0]
    assert torch.equal(grey[0], grey[1]) and torch.equal(grey[0], grey[2])


@pytest.mark.parametrize("name", ["val/val_annotations.txt", "wnids.txt"])
def test_a_missing_list_is_one_line(name: str, unpacked: Path) -> None:
    (unpacked / FOLDER / name).unlink()
    with pytest.raises(UserError, match=rf"^{unpacked / FOLDER} is damaged or incomplete \(.*{name}.*\): remove it"):
        images(unpacked).load()

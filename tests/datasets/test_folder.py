"""Images of one's own: classes, parts, labels, the identity of the data, and one line for all that can be wrong."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import pixel_cache
from hnet_cl.datasets.base import Data, examples
from hnet_cl.datasets.folder import ImageFolder

USUAL: Mapping[str, Any] = {
    "name": "folder",
    "csv": None,
    "size": None,
    "channels": 1,
    "fit": "crop",
    "background": None,
    "unreadable": "error",
    "test_share": 0.25,
    "seed": 42,
    "augment": "none",
}


def write(path: Path, value: int, size: tuple[int, int] = (3, 2), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value,) * len(mode)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of eight images; the pixels of number n of class c are 100 c + n."""
    for label in range(2):
        for number in range(8):
            write(tmp_path / "mine" / f"kind {label}" / f"{number}.png", 100 * label + number)
    return tmp_path / "mine"


def folder(root: Path, **changes: Any) -> ImageFolder:
    settings = ImageFolder.Settings(**{**USUAL, "root": str(root), **changes})
    settings.place("dataset")
    return ImageFolder(settings, root.parent / "data")


def read(root: Path, **changes: Any) -> Data:
    return examples(folder(root, **changes))


def problem(root: Path, **changes: Any) -> str:
    with pytest.raises(UserError) as said:
        read(root, **changes)
    assert "\n" not in str(said.value)
    return str(said.value)


def values(data: Data) -> tuple[list[int], list[int]]:
    return data.train.images[:, 0, 0, 0].tolist(), data.test.images[:, 0, 0, 0].tolist()


def in_all(data: Data) -> list[int]:
    return sorted([*values(data)[0], *values(data)[1]])


def test_a_share_of_each_class_is_held_out(root: Path) -> None:
    data = read(root)
    train, test = values(data)
    assert sorted(train + test) == [*range(8), *range(100, 108)]
    assert data.train.labels.tolist() == [value // 100 for value in train] == [0] * 6 + [1] * 6
    assert data.test.labels.tolist() == [value // 100 for value in test] == [0] * 2 + [1] * 2
    assert (data.in_shape, data.class_names, data.groups) == ((1, 2, 3), ["kind 0", "kind 1"], None)
    assert data.train.images.dtype == torch.uint8
    assert (data.identity.name, data.identity.source, data.identity.fixed) == ("mine", "files", False)
    assert values(read(root)) == (train, test)
    assert values(read(root, seed=43))[1] != test
    assert len(read(root, test_share=0.01).test.labels) == 2, "at least one of each"


def test_train_and_test_folders(root: Path, tmp_path: Path) -> None:
    shutil.move(root, tmp_path / "parted" / "train")
    write(tmp_path / "parted" / "test" / "kind 1" / "x.png", 200)
    message = problem(tmp_path / "parted")
    assert message.endswith("parted: no test examples of kind 0, of which there are training examples: add some, or "
                            "remove such classes")  # fmt: skip
    write(tmp_path / "parted" / "test" / "kind 0" / "x.png", 50)
    assert values(read(tmp_path / "parted"))[1] == [50, 200]
    write(tmp_path / "parted" / "test" / "new" / "x.png", 50)
    assert "no training examples of new, of which there are test examples" in problem(tmp_path / "parted")


def test_a_list_may_name_images_elsewhere(root: Path, tmp_path: Path) -> None:
    """By ../, by an absolute path and by a link: images can stay where they are."""
    for number in range(4):
        write(tmp_path / "beside" / f"{number}.png", 10 + number)
        write(tmp_path / "far" / f"{number}.png", 20 + number)
        write(tmp_path / "behind" / f"{number}.png", 30 + number)
    (root / "link").symlink_to(tmp_path / "behind")
    places = {"../beside": "b", str(tmp_path / "far"): "f", "link": "l"}
    rows = [f"{place}/{number}.png,{label}" for place, label in places.items() for number in range(4)]
    (root / "my.csv").write_text("\n".join(["path,label", *rows]))
    data = read(root, csv="my.csv")
    both = zip((data.train, data.test), (9, 3), strict=True)
    assert data.class_names == ["b", "f", "l"] and all(len(part.labels) == number for part, number in both)
    for part in (data.train, data.test):
        assert torch.equal(part.images[:, 0, 0, 0] // 10 - 1, part.labels)


def test_a_list(root: Path) -> None:
    rows = ["kind 0/1.png,10,train,b", "kind 0/2.png,10,test,b", "kind 1/1.png,9,train,a", "kind 1/5.png,9,test,a"]
    (root / "my.csv").write_text("\n".join(["path,label,split,task", *rows]))
    data = read(root, csv="my.csv")
    assert (data.class_names, values(data)) == (["9", "10"], ([1, 101], [2, 105])), "numbers are in their order"
    assert data.groups == [[0], [1]] and data.train.labels.tolist() == [1, 0]
    (root / "my.csv").write_text("\n".join(["path,label,split,task", *rows, "kind 0/3.png,9,train,b"]))
    assert "images of 9 are in several tasks or in none; expected one task for each class" in problem(
        root, csv="my.csv"
    )
    (root / "my.csv").write_text("path,label\nkind 0/99.png,a\n../out.png,a\n")
    assert "kind 0/99.png cannot be read (No such file or directory)" in problem(root, csv="my.csv")


def test_the_identity_is_that_of_names_classes_and_contents(root: Path, tmp_path: Path) -> None:
    before = read(root).identity
    shutil.copytree(root, tmp_path / "copy" / "mine")
    assert read(tmp_path / "copy" / "mine").identity == before, "wherever they lie"
    for changes in ({"seed": 43}, {"size": 4}, {"channels": 3}):
        assert read(root, **changes).identity.checksum != before.checksum
    write(root / "kind 1" / "7.png", 7)
    assert values(read(root)) != values(read(tmp_path / "copy" / "mine"))
    changed = read(root).identity.checksum
    shutil.move(root / "kind 1" / "7.png", root / "kind 1" / "77.png")
    assert len({before.checksum, changed, read(root).identity.checksum}) == 3


def test_what_is_known_before_the_images(root: Path) -> None:
    assert folder(root).image_shape is None
    assert folder(root, size=9, channels=3).image_shape == (3, 9, 9) == read(root, size=9, channels=3).in_shape
    assert folder(root).augment is None and folder(root, augment="flip").augment is not None
    gone = root / "gone"
    assert problem(gone) == f"dataset.root={gone}: there is nothing at {gone}; give the place of your data"
    with pytest.raises(ValidationError, match="give the place of your data, as ~/pictures"):
        ImageFolder.Settings(**USUAL, root=None)


def test_images_that_cannot_be_used(root: Path) -> None:
    (root / "kind 0" / "3.png").write_bytes(b"no image")
    (root / "kind 0" / "4\n.png").write_bytes(b"")
    (root / "kind 1" / "2.png").unlink()
    (root / "kind 1" / "2.png").symlink_to("gone.png")
    write(root / "kind 1" / "3.png", 0, mode="RGBA")
    message = problem(root)
    for said in (
        "kind 0/3.png is no image",
        r"kind 0/4\n.png is empty",
        "mine: ",
        ": replace or remove such images",
        "or leave them out with dataset.unreadable=skip",
    ):
        assert said in message, message
    data = read(root, unreadable="skip")
    train, test = values(data)
    assert sorted(train + test) == [0, 1, 2, 4, 5, 6, 7, 100, 101, 104, 105, 106, 107]
    assert data.train.labels.tolist() == [value // 100 for value in train]
    assert 103 not in train + test
    assert in_all(read(root, unreadable="skip", background="black"))[:2] == [0, 0]


def test_skipped_images_are_named(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / "kind 0" / "3.png").write_bytes(b"no image")
    for _ in range(2):  # decoded, and from the cache
        caplog.clear()
        read(root, unreadable="skip")
        assert "mine: 1 images cannot be used and are left out: kind 0/3.png" in caplog.text


def test_transparent_pixels(root: Path) -> None:
    write(root / "kind 0" / "0.png", 0, mode="RGBA")
    message = problem(root)
    assert (
        "kind 0/0.png has transparent pixels: replace or remove such images, give dataset.background=white or black for"
        in message
    )
    assert in_all(read(root, background="white"))[-1] == 255


def test_mixed_sizes(root: Path) -> None:
    write(root / "kind 1" / "4.png", 104, (9, 8))
    for unreadable in ("error", "skip"):
        assert "dataset.size=null: " in problem(root, unreadable=unreadable)
    assert "4.png has 8 x 9 pixels (height x width), others 2 x 3; give dataset.size=64, say," in problem(root)
    assert in_all(read(root, size=5)) == [*range(8), *range(100, 108)]


def test_a_class_with_one_image(root: Path) -> None:
    write(root / "one" / "1.png", 1)
    assert "mine: only one example of one, and one more is needed to test with" in problem(root)


def test_no_usable_images(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    assert "is empty" in problem(root)
    assert "none of its 16 images can be used" in problem(root, unreadable="skip")


def test_a_folder_that_changes_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, written = pixel_cache.decode, 0

    def slowly(content: bytes, form: Any) -> Any:
        nonlocal written
        written += 1
        write(root / "kind 0" / "0.png", 200 + written)
        return decode(content, form)

    monkeypatch.setattr(pixel_cache, "decode", slowly)
    message = problem(root, size=2)
    assert "kind 0/0.png: has changed while the images were read; once nothing is written" in message
    monkeypatch.undo()
    assert 200 + written in in_all(read(root, size=2)), "the same command goes on"

    def added(content: bytes, form: Any) -> Any:
        write(root / "kind 0" / "new.png", 77)
        return decode(content, form)

    monkeypatch.setattr(pixel_cache, "decode", added)
    assert "files were added or removed while the images were read" in problem(root, size=3)


def test_values_survive_the_cache(root: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 7, 3), np.uint8)
    Image.fromarray(picture).save(root / "kind 0" / "0.png")
    first, again = read(root, size=7, channels=3), read(root, size=7, channels=3)
    assert torch.equal(first.train.images, again.train.images) and torch.equal(first.test.images, again.test.images)
    found = [image for data in (again.train, again.test) for image in data.images]
    assert any(torch.equal(image, torch.from_numpy(picture).permute(2, 0, 1)) for image in found)

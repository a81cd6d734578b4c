"""Data sets of the Hugging Face Hub and in local folders, by the real library where it is installed."""

import importlib
import importlib.util
import shutil
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import Data, examples
from hnet_cl.datasets.huggingface import HuggingFace, _numbered

SETTINGS: Mapping[str, Any] = {
    "name": "huggingface",
    "config": None,
    "splits": ["train", "test"],
    "image": None,
    "label": None,
    "size": 8,
    "augment": "none",
    "normalize": False,
}


def dataset(path: object, **changes: Any) -> HuggingFace:
    settings = HuggingFace.Settings(**{**SETTINGS, "path": str(path), **changes})
    settings.place("dataset")
    return HuggingFace(settings, Path("nowhere"))


def read(path: object, **changes: Any) -> Data:
    return examples(dataset(path, **changes))


def problem(path: object, **changes: Any) -> str:
    with pytest.raises(UserError) as said:
        read(path, **changes)
    assert "\n" not in str(said.value)
    return str(said.value)


@pytest.fixture(scope="module")
def imported() -> Any:
    """The library, whose import takes seconds; a folder of its name, as that of these tests, does not count."""
    found = importlib.util.find_spec("datasets")
    if found is None or found.origin is None:
        pytest.skip("datasets is not installed")
    with warnings.catch_warnings(action="ignore"):
        return importlib.import_module("datasets")


@pytest.fixture
def library(imported: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library with a cache of its own, and without network."""
    monkeypatch.setattr(imported.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(imported.config, "HF_HUB_OFFLINE", True)
    imported.disable_progress_bars()
    return imported


def picture(number: int, mode: str = "RGB") -> Image.Image:
    """An image of one colour, whose red is its number."""
    return Image.new("RGB", (9, 6), (number, 7, 9)).convert(mode)


def table(library: Any, labels: list[Any], kind: Any, first: int = 0, **more: list[Any]) -> Any:
    kinds = {"img": library.Image(), "kind": kind, **{name: library.Value("int64") for name in more}}
    columns = {"img": [picture(first + number) for number in range(len(labels))], "kind": labels, **more}
    return library.Dataset.from_dict(columns, features=library.Features(kinds))


def saved(library: Any, folder: Path, kind: Any, train: list[Any], test: list[Any], **more: list[Any]) -> Path:
    parts = {"train": table(library, train, kind), "test": table(library, test, kind, 100, **more)}
    library.DatasetDict(parts).save_to_disk(str(folder))
    return folder


def test_a_saved_set_with_names_of_classes(library: Any, tmp_path: Path) -> None:
    folder = saved(library, tmp_path / "mine", library.ClassLabel(names=["dog", "cat", "bird"]), [0, 1, 1, 0], [1, 0])
    data = read(folder)
    assert data.class_names == ["dog", "cat", "bird"] and data.in_shape == (3, 8, 8) == dataset(folder).image_shape
    assert data.train.labels.tolist() == [0, 1, 1, 0] and data.test.labels.tolist() == [1, 0]
    for part, first in ((data.train, 0), (data.test, 100)):
        colours = torch.tensor([[first + number, 7, 9] for number in range(len(part.labels))], dtype=torch.uint8)
        assert torch.equal(part.images, colours[..., None, None].expand(-1, -1, 8, 8))
    identity = data.identity
    assert (identity.name, identity.source, identity.fixed) == ("mine", "datasets", False)
    assert identity == read(folder).identity != read(folder, size=9).identity


def test_labels_that_are_numbers_or_text(library: Any, tmp_path: Path) -> None:
    numbers = saved(library, tmp_path / "numbers", library.Value("int32"), [10, 9, -1, 10], [9, 10, -1])
    data = read(numbers, label="kind")
    assert data.class_names == ["-1", "9", "10"] and data.train.labels.tolist() == [2, 1, 0, 2]
    text = saved(library, tmp_path / "text", library.Value("string"), ["b", "a", "b"], ["a", "b"])
    data = read(text, label="kind", image="img")
    assert data.class_names == ["a", "b"] and data.test.labels.tolist() == [0, 1]


def test_a_folder_of_images_and_one_of_parquet_files(library: Any, tmp_path: Path) -> None:
    for part, numbers in (("train", range(3)), ("test", range(3, 5))):
        for label in ("cat", "dog"):
            (tmp_path / "images" / part / label).mkdir(parents=True)
            for number in numbers:
                picture(number, "L").save(tmp_path / "images" / part / label / f"{number}.png")
    data = read(tmp_path / "images")
    assert data.class_names == ["cat", "dog"] and data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    (tmp_path / "files").mkdir()
    kind = library.ClassLabel(names=["a", "b"])
    table(library, [0, 1, 0], kind).to_parquet(str(tmp_path / "files" / "train-0.parquet"))
    table(library, [1, 0], kind, 50).to_parquet(str(tmp_path / "files" / "test-0.parquet"))
    data = read(tmp_path / "files")
    assert data.train.labels.tolist() == [0, 1, 0] and data.test.images[:, 0, 0, 0].tolist() == [50, 51]


def test_a_set_of_the_hub_in_the_cache(library: Any, tmp_path: Path) -> None:
    """Without network: what the library has made of files lies under its owner and name."""
    (tmp_path / "things").mkdir()
    for part, labels in (("train", [0, 1, 0]), ("test", [1, 0])):
        made = table(library, labels, library.ClassLabel(names=["a", "b"]))
        made.to_parquet(str(tmp_path / "things" / f"{part}.parquet"))
    expected = read(tmp_path / "things")
    shutil.rmtree(tmp_path / "things")
    (tmp_path / "cache" / "things").rename(tmp_path / "cache" / "mine___things")
    data = read("mine/things")
    assert data.identity.checksum == expected.identity.checksum and data.identity.name == "mine/things"


def test_a_set_of_one_split(library: Any, tmp_path: Path) -> None:
    """Saved alone, it is called train; every fifth image of each class is for testing."""
    table(library, [0] * 5 + [1] * 5, library.ClassLabel(names=["a", "b"])).save_to_disk(str(tmp_path / "one"))
    data = read(tmp_path / "one", splits=["train", None])
    assert data.test.images[:, 0, 0, 0].tolist() == [4, 9] and data.train.labels.tolist() == [0] * 4 + [1] * 4
    assert problem(tmp_path / "one") == (
        f"dataset.splits=[train,test]: {tmp_path / 'one'} has no test but train; give two of them, or one and null, as "
        "[train,null]"
    )


def test_columns_that_are_not_clear(library: Any, tmp_path: Path) -> None:
    folder = saved(library, tmp_path / "mine", library.Value("int64"), [0, 1], [1, 0])
    there = f"{folder} has img (Image), kind (Value)"
    assert problem(folder) == f"dataset.label=null: give the column of the labels; {there}"
    assert problem(folder, label="kin") == f"dataset.label=kin: give the column of the labels; {there}"
    assert problem(folder, label="kind", image="kind") == f"dataset.image=kind: give the column of the images; {there}"


def test_what_cannot_be_used_is_one_line(library: Any, tmp_path: Path) -> None:
    hidden = saved(library, tmp_path / "hidden", library.ClassLabel(names=["a", "b"]), [0, 1], [-1, -1])
    assert "its example 0 has the kind -1; expected a class, as a number or as text; choose" in problem(hidden)
    real = saved(library, tmp_path / "real", library.Value("float32"), [0.5], [0.5])
    assert "its example 0 has the kind 0.5; expected a class" in problem(real, label="kind")
    empty = saved(library, tmp_path / "empty", library.Value("string"), ["a", " "], ["a"])
    assert "its example 1 has the kind  ; expected a class" in problem(empty, label="kind")
    apart = saved(library, tmp_path / "apart", library.ClassLabel(names=["a", "b"]), [0, 1], [0, 0])
    assert problem(apart).startswith(f"dataset.path={apart}: no test examples of b, of which there are training")
    kinds = library.Features({"img": library.Image(), "label": library.Value("int64")})
    for content in ({"bytes": b"no image", "path": None}, None):
        broken = library.Dataset.from_dict({"img": [content], "label": [1]}, features=kinds)
        library.DatasetDict(train=broken, test=broken).save_to_disk(str(tmp_path / "broken"))
        assert f"dataset.path={tmp_path / 'broken'}: its example 0 cannot be read (" in problem(tmp_path / "broken")


def test_what_cannot_be_had_is_one_line(library: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bare").mkdir()
    damaged = saved(library, tmp_path / "damaged", library.ClassLabel(names=["a", "b"]), [0, 1], [1, 0])
    (damaged / "train" / "state.json").write_text("{")
    for path in ("nobody/has-this", tmp_path / "bare", damaged):
        message = problem(path)
        assert message.startswith(f"dataset.path={path}: cannot be read (") and "give a name on the Hub, if" in message
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("splits", [[None, "test"], ["train", "train"], ["train"]])
def test_splits_that_make_no_sense(splits: Any) -> None:
    with pytest.raises(ValidationError):
        dataset("x", splits=splits)


def test_a_path_must_be_given() -> None:
    with pytest.raises(ValidationError, match="give a name on the Hub, as uoft-cs/cifar100, or a folder"):
        HuggingFace.Settings(**SETTINGS, path=None)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = "dataset=huggingface: datasets is not installed; pip install 'hnet-cl[huggingface]'"
    assert problem("x/y") == line


def test_another_module_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = ModuleType("datasets")
    stranger.__file__ = str(tmp_path / "datasets.py")
    stranger.__spec__ = importlib.util.spec_from_file_location("datasets", stranger.__file__)
    monkeypatch.setitem(sys.modules, "datasets", stranger)
    assert problem("x/y") == f"dataset=huggingface: {stranger.__file__} is another module called datasets; rename it"


def test_classes_by_their_names_or_by_what_they_are() -> None:
    names, labels = _numbered([[1, 0], [0]], ["cat", "dog", "bird"])
    assert names == ["cat", "dog", "bird"] and [part.tolist() for part in labels] == [[1, 0], [0]]
    names, labels = _numbered([[10, 9], [2]], None)
    assert names == ["2", "9", "10"] and [part.tolist() for part in labels] == [[2, 1], [0]]

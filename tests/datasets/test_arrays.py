"""Arrays of one's own: all shapes and types that count, and one line for what does not."""

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import array_files
from hnet_cl.datasets.arrays import Arrays
from hnet_cl.datasets.base import Data, examples

USUAL: Mapping[str, Any] = {"name": "arrays", "channels_last": None, "test_share": 0.25, "seed": 42}
Y = np.repeat([3, 1], 8)
VECTORS = np.arange(16 * 5, dtype=np.float32).reshape(16, 5)


def dataset(root: Path, **changes: Any) -> Arrays:
    settings = Arrays.Settings(**{**USUAL, "root": str(root), **changes})
    settings.place("dataset")
    return Arrays(settings, root / "data")


def save(root: Path, **arrays: Any) -> Path:
    for name, array in arrays.items():
        np.save(root / f"{name}.npy", array)
    return root


def read(root: Path, **changes: Any) -> Data:
    return examples(dataset(root, **changes))


def problem(root: Path, **changes: Any) -> str:
    with pytest.raises(UserError) as said:
        read(root, **changes)
    assert "\n" not in str(said.value)
    return str(said.value)


def test_a_share_of_each_class_is_held_out(tmp_path: Path) -> None:
    data = read(save(tmp_path, X=VECTORS, y=Y))
    assert data.class_names == ["1", "3"] and data.in_shape == (5,) and not data.are_images
    assert data.train.labels.bincount().tolist() == [6, 6] and data.test.labels.bincount().tolist() == [2, 2]
    rows = torch.cat([data.train.images, data.test.images])
    assert sorted(rows[:, 0].tolist()) == VECTORS[:, 0].tolist()
    for part in (data.train, data.test):
        assert [Y[int(row[0]) // 5] for row in part.images] == [[1, 3][label] for label in part.labels]
    assert data.identity == read(tmp_path).identity != read(tmp_path, seed=1).identity
    assert data.identity.name == tmp_path.name


@pytest.mark.parametrize(
    ("shape", "settings", "in_shape"),
    [
        ((16, 4, 6), {}, (1, 4, 6)),
        ((16, 4, 6, 3), {}, (3, 4, 6)),
        ((16, 3, 4, 6), {}, (3, 4, 6)),
        ((16, 1, 4, 6), {}, (1, 4, 6)),
        ((16, 3, 4, 1), {"channels_last": True}, (1, 3, 4)),
        ((16, 3, 4, 1), {"channels_last": False}, (3, 4, 1)),
        ((16, 7), {}, (7,)),
    ],
)
def test_images_and_vectors(shape: tuple[int, ...], settings: Any, in_shape: tuple[int, ...], tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    data = read(save(tmp_path, X_train=x, y_train=Y, X_test=x[::-1], y_test=Y[::-1]), **settings)
    assert data.in_shape == in_shape and data.train.images.dtype == torch.uint8
    first = torch.from_numpy(x[0])
    last = len(shape) == 4 and in_shape != shape[1:]
    assert torch.equal(data.train.images[0], first.permute(2, 0, 1) if last else first.view(in_shape))
    assert torch.equal(data.test.images[15], data.train.images[0])


@pytest.mark.parametrize("kind", ["float16", "float64", ">f4", "float32"])
def test_floating_point_numbers_become_float32(kind: str, tmp_path: Path) -> None:
    x = np.linspace(0, 1, 16 * 4).reshape(16, 2, 2).astype(kind)
    data = read(save(tmp_path, X_train=x, y_train=Y, X_test=x, y_test=Y))
    assert data.train.images.dtype == torch.float32 and data.in_shape == (1, 2, 2)
    assert torch.equal(data.train.images[:, 0], torch.from_numpy(x.astype(np.float32)))


def test_files_of_their_own_stay_on_disk(tmp_path: Path) -> None:
    save(tmp_path, X_train=VECTORS, y_train=Y, X_test=VECTORS, y_test=Y)
    data = read(tmp_path)
    raw = np.load(tmp_path / "X_train.npy", mmap_mode="r+")
    raw[3, 2] = 777
    raw.flush()
    assert data.train.images[3, 2] == 777


@pytest.mark.parametrize("name", ["mine.npz", "mine.pt", "packed.npz"])
def test_one_file(name: str, tmp_path: Path) -> None:
    arrays = {"x_train": VECTORS, "y_train": Y, "x_test": VECTORS[:2] + 1, "y_test": np.array([3, 1]), "other": Y}
    if name == "mine.pt":
        torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, tmp_path / name)
    else:
        (np.savez if name == "mine.npz" else np.savez_compressed)(tmp_path / name, **arrays)
    data = read(tmp_path / name)
    assert torch.equal(data.train.images, torch.from_numpy(VECTORS)) and data.test.labels.tolist() == [1, 0]
    assert data.train.labels.tolist() == [1] * 8 + [0] * 8


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.where(Y == 3, "dog", "cat"), ["cat", "dog"]),
        (np.where(Y == 3, b"dog", b"cat"), ["cat", "dog"]),
        (np.where(Y == 3, "10", "9"), ["9", "10"]),
        (np.where(Y == 3, 10, -9).astype(np.int16), ["-9", "10"]),
        (Y.astype(">u8"), ["1", "3"]),
    ],
)
def test_labels_of_all_kinds(labels: Any, names: list[str], tmp_path: Path) -> None:
    data = read(save(tmp_path, X_train=VECTORS, y_train=labels, X_test=VECTORS, y_test=labels))
    assert data.class_names == names and data.train.labels.tolist() == [1] * 8 + [0] * 8


def test_names_of_classes(tmp_path: Path) -> None:
    save(tmp_path, X=VECTORS, y=Y)
    (tmp_path / "classes.txt").write_text("zero\none\ntwo\nthree\n")
    assert read(tmp_path).class_names == ["one", "three"]
    for text, said in {
        "a\nb\nc\n": "labels from 1 to 3, and classes.txt has 3 lines; add the rest",
        "a\nb\na\nd\n": "classes.txt: 'a' is empty, twice there or not printable",
        "a\n\nc\nd\n": "classes.txt: '' is empty, twice there",
    }.items():
        (tmp_path / "classes.txt").write_text(text)
        assert said in problem(tmp_path)
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\n")
    save(tmp_path, y=np.where(Y == 3, "dog", "cat"))
    assert "labels that are text, and numbers elsewhere (or classes.txt); make them alike" in problem(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y": Y[:-1]}, "X has 16 examples and y 15 labels; make them as many"),
        ({"y": Y.astype(float)}, "y holds float64; expected whole numbers or text: save y.astype(int)"),
        (
            {"y": np.eye(16)},
            "y has shape (16, 16); expected labels of shape (n,): save y.argmax(1) if they are one-hot",
        ),
        ({"y": np.where(Y == 3, "a\nb", "c")}, "the label 'a\\nb' is empty or cannot be shown in a line"),
        ({"y": np.append(Y[:-1], 4)}, "only one example of 4, and one more is needed to test with"),
        ({"X": VECTORS.astype(int)}, "X holds int64; expected uint8 (0 to 255) or floating-point numbers"),
        ({"X": VECTORS > 3}, "X holds bool; expected uint8"),
        (
            {"X": VECTORS[:, 0]},
            "X has shape (16,); expected images (n, H, W), (n, H, W, C) or (n, C, H, W), or vectors",
        ),
        ({"X": VECTORS[:0]}, "X has shape (0, 5); expected images"),
        ({"X": np.where(VECTORS == 17, np.nan, VECTORS)}, "X holds NaN or infinity, first in number 3 from 0"),
        ({"X": np.full((16, 2), 1e300)}, "X holds NaN or infinity, first in number 0 from 0"),
        ({"X": np.zeros((16, 3, 4, 3))}, "X has shape (16, 3, 4, 3); give dataset.channels_last=true or false, as the"),
        ({"X": np.zeros((16, 4, 4, 2))}, "X has shape (16, 4, 4, 2); expected one channel or three, in the last place"),
    ],
)
def test_arrays_that_are_wrong(changes: Any, said: str, tmp_path: Path) -> None:
    message = problem(save(tmp_path, **{"X": VECTORS, "y": Y, **changes}))
    assert message.startswith(f"{tmp_path}: ") and said in message


def test_labels_that_are_missing_in_test(tmp_path: Path) -> None:
    save(tmp_path, X_train=VECTORS, y_train=Y, X_test=VECTORS[:8], y_test=Y[:8])
    assert "no test examples of 1, of which there are training examples" in problem(tmp_path)


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    objects = np.array([{}] * 16, dtype=object)
    np.save(tmp_path / "X.npy", objects, allow_pickle=True)
    save(tmp_path, y=Y)
    assert problem(tmp_path).endswith("X.npy: holds Python objects; save numbers or text")
    np.savez(tmp_path / "both.npz", X=objects, y=Y)
    assert problem(tmp_path / "both.npz").endswith("both.npz, X: holds Python objects; save numbers or text")
    torch.save({"X": VECTORS, "y": objects}, tmp_path / "both.pt")
    assert "both.pt: is damaged, or holds something else than tensors and plain values" in problem(tmp_path / "both.pt")


@pytest.mark.parametrize("name", ["X.npy", "both.npz", "both.pt"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind", "cut"])
def test_damaged_files(name: str, content: Any, tmp_path: Path) -> None:
    save(tmp_path, X=VECTORS, y=Y)
    np.savez(tmp_path / "both.npz", X=VECTORS, y=Y)
    torch.save({"X": torch.from_numpy(VECTORS), "y": torch.from_numpy(Y)}, tmp_path / "both.pt")
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:200] if content == "cut" else content)
    message = problem(tmp_path if name == "X.npy" else path)
    assert name in message and ("damaged" in message or "cannot be read" in message)


def test_files_that_are_missing(tmp_path: Path) -> None:
    assert problem(tmp_path) == (
        f"{tmp_path}: X and y are missing; there is nothing; expected X and y, or X_train, y_train, X_test and y_test, "
        "as .npy files or in one .npz or .pt file"
    )
    save(tmp_path, X_train=VECTORS, X=VECTORS)
    (tmp_path / "more").mkdir()
    assert "y_train and X_test and y_test are missing; there is X.npy, X_train.npy, more/; expected" in problem(
        tmp_path
    )
    gone = tmp_path / "gone.npz"
    assert problem(gone) == f"dataset.root={gone}: there is nothing at {gone}; give the place of your data"
    assert "y.npy cannot be listed (Not a directory): give a folder, or a .npz" in problem(
        save(tmp_path, y=Y) / "y.npy"
    )
    torch.save([1, 2], tmp_path / "list.pt")
    assert "list.pt: holds no dict of arrays" in problem(tmp_path / "list.pt")
    with pytest.raises(ValidationError, match="give the place of your data"):
        Arrays.Settings(**USUAL, root=None)


def test_an_archive_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "big.npz", X=np.zeros((16, 100_000), np.uint8), y=Y)
    monkeypatch.setattr(array_files, "memory_limit", lambda: 1_000_000)
    assert re.search(
        r"big\.npz: takes 0\.0016 GB of memory, which is too much; give \.npy", problem(tmp_path / "big.npz")
    )


def npy(shape: tuple[int, ...], kind: str = "<f4", data: bytes = bytes(640)) -> bytes:
    """A .npy file with this shape in its header."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue() + data


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy((10**9, 10**9)), "states the shape (1000000000, 1000000000), which takes 4000000000000000000 bytes, and"),
        (npy((2**40, 2**40, 2**40)), "states the shape"),
        (npy((-1, 5)), "states the shape (-1, 5)"),
        (npy((10**12,), "|S0"), "holds values that have no bytes"),
        (npy((16, 10), data=bytes(639)), "states the shape (16, 10), which takes 640 bytes, and has 639"),
        (npy((2,) * 3000), "states the shape (2, 2, 2"),
        (b"\x93NUMPY\2\0\xff\xff\xff\xff{", "states a header longer than any array has"),
        (b"\x93NUMPY\1\0\x08\x27" + b"[" * 9999 + b"\n", "is damaged or no such file"),
        (b"\x93NUMPY\3\0\x04\0\0\0{  \n", "holds records, or is of a newer form"),
    ],
)
def test_a_header_that_states_more_than_there_is(content: bytes, said: str, archive: bool, tmp_path: Path) -> None:
    save(tmp_path, y=Y)
    root = tmp_path / "mine.npz" if archive else tmp_path
    if archive:
        with zipfile.ZipFile(root, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("X.npy", content)
            packed.write(tmp_path / "y.npy", "y.npy")
    else:
        (tmp_path / "X.npy").write_bytes(content)
    message = problem(root)
    assert message.startswith(f"{root}, X: {said}" if archive else f"{root / 'X.npy'}: {said}") and len(message) < 900


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(1, 1).expand(10**6, 1000), "X: has the shape (1000000, 1000), which takes 4000000000 bytes, and"),
        (torch.zeros(16, 1, 4).expand(16, 300, 4), "save a copy of it (contiguous())"),
        (torch.zeros(16, 4).to_sparse(), "X: is no ordinary tensor but sparse, quantised or without data"),
        (torch.zeros(16, 4, device="meta"), "X: is no ordinary tensor"),
        (torch.zeros(16, 4, dtype=torch.bfloat16), "X: holds torch.bfloat16, which numpy does not know; save it as fl"),
        ([["dog"] * 4] * 16, "X: is neither a tensor nor a list of whole numbers or of text"),
        (["d" * 1001] + [""] * 15, "X: has a text of more than 1000 characters"),
        ({}, "X: is neither a tensor nor"),
    ],
)
def test_tensors_that_are_none(x: Any, said: str, tmp_path: Path) -> None:
    torch.save({"X": x, "y": torch.from_numpy(Y)}, tmp_path / "mine.pt")
    message = problem(tmp_path / "mine.pt")
    assert message.startswith(f"{tmp_path / 'mine.pt'}, X: ") and said in message


def test_labels_in_a_list(tmp_path: Path) -> None:
    torch.save({"X": torch.from_numpy(VECTORS), "y": ["dog" if y == 3 else "cat" for y in Y]}, tmp_path / "mine.pt")
    assert read(tmp_path / "mine.pt").class_names == ["cat", "dog"]


def test_what_libraries_say_is_silent_and_short(tmp_path: Path) -> None:
    (tmp_path / "pickled.pt").write_bytes(pickle.dumps({"X": 1}, protocol=4))
    assert "pickled.pt: is damaged, or holds something else than tensors" in problem(tmp_path / "pickled.pt")
    with warnings.catch_warnings(action="ignore"):  # they are deprecated
        quantised = torch.quantize_per_tensor(torch.zeros(16, 4), 1.0, 0, torch.quint8)
    torch.save({"X": quantised, "y": torch.from_numpy(Y)}, tmp_path / "quantised.pt")
    assert "quantised.pt, X: is no ordinary tensor" in problem(tmp_path / "quantised.pt")
    save(tmp_path, y=Y)
    header = b"{" + b"'descr'\x1b[2J" * 300 + b"}\n"
    (tmp_path / "X.npy").write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    assert len(problem(tmp_path)) < 800 and "\x1b" not in problem(tmp_path)


def test_images_out_of_range_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(save(tmp_path, X=VECTORS.reshape(16, 1, 5), y=Y))
    assert "images with numbers from 0 to 79 are used as they are; 0 to 1 is usual" in caplog.text

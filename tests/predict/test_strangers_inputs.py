"""Inputs that are a stranger's: read rightly or refused in a line, and never waited for."""

import io
import os
import struct
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hnet_cl.benchmarks.base import ImageKind
from hnet_cl.datasets.images import scale_pixels
from hnet_cl.predict.inputs import Form, Inputs, Problem, read

KINDS = [ImageKind(1, 28, 28, scale_pixels)]
FORM = Form((1, 28, 28), KINDS, ())
DIGITS = (torch.rand(6, 28, 28, generator=torch.Generator().manual_seed(1)) * 255).to(torch.uint8).numpy()


pytestmark = pytest.mark.usefixtures("no_waiting")


def values(path: Path) -> np.ndarray:
    parts = list(read(path, FORM, 4))
    assert all(isinstance(part, Inputs) for part in parts)
    return torch.cat([part.values for part in parts]).numpy()  # type: ignore[union-attr]


def refused(path: Path) -> str:
    (problem,) = read(path, FORM, 4)
    assert isinstance(problem, Problem) and "\n" not in problem.reason
    return problem.reason


@pytest.mark.parametrize("suffix", ["png", "jpg", "npy", "pt", "pth"])
@pytest.mark.parametrize("kind", ["pipe", "zeros"])
def test_what_is_no_regular_file(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert refused(path) == "cannot be read (is no regular file)"


def test_a_pipe_in_a_folder_of_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0.png")
    Image.fromarray(DIGITS[0]).save(tmp_path / "1.png")
    problem, inputs = read(tmp_path, FORM, 4)
    assert isinstance(problem, Problem) and problem.reason == "cannot be read (is no regular file)"
    assert isinstance(inputs, Inputs)


@pytest.mark.parametrize("order", ["<", ">", "="])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_numbers_in_all_orders(order: str, kind: str, layout: Any, tmp_path: Path) -> None:
    array = np.asarray(DIGITS[:, None] / 256, dtype=order + kind, order=layout)
    np.save(tmp_path / "x.npy", array)
    assert np.array_equal(values(tmp_path / "x.npy"), array.astype(np.float32))


def test_images_column_by_column(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", DIGITS)
    np.save(tmp_path / "f.npy", np.asfortranarray(DIGITS))
    assert np.array_equal(values(tmp_path / "f.npy"), values(tmp_path / "c.npy"))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.float64(1), "holds no inputs"),
        (np.zeros((0, 1, 28, 28), ">f4"), "holds no inputs"),
        (np.zeros((3, 0, 28), ">f4"), "holds no inputs"),
        (np.array([{}, print], dtype=object), "holds Python objects; save numbers"),
        (np.zeros(3, dtype=[("a", "f4")]), "is damaged, or holds something else than numbers"),
        (np.array(["a", "b"]), "is damaged, or holds something else than numbers"),
        (np.zeros((2, 28, 28), "M8[s]"), "is damaged, or holds something else than numbers"),
        (np.zeros((2, 1, 28, 28), np.longdouble), "is damaged, or holds something else than numbers"),
        (np.zeros((2, 1, 28, 28), ">c8"), "holds complex64 of shape (2, 1, 28, 28)"),
        (np.zeros((2, 28, 28), ">i8"), "holds int64 of shape (2, 28, 28)"),
        (np.zeros((2, 28, 28), bool), "holds bool of shape (2, 28, 28)"),
    ],
)
def test_arrays_of_something_else(array: Any, reason: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    assert refused(tmp_path / "x.npy").startswith(reason)


def header(version: int, text: str) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode()


SHAPE = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n"


@pytest.mark.parametrize(
    "content",
    [
        header(1, SHAPE.format("<f4", (10**12, 1, 28, 28))) + bytes(400),
        header(1, SHAPE.format("<f4", (10**30, 1, 28, 28))) + bytes(400),
        header(1, SHAPE.format("<f4", (-1, 1, 28, 28))) + bytes(400),
        header(1, SHAPE.format("|V0", (10**12,))) + bytes(400),
        header(1, SHAPE.format("|V0", (3,))) + bytes(400),
        header(1, SHAPE.format("<f4", (2, 1, 28, 28))) + bytes(2 * 784 * 4 - 1),
        header(2, "(" * 60_000),
        header(2, "[" * 60_000 + "]" * 60_000),
        header(1, "__import__('os').mkdir('made')"),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY",
        b"",
    ],
)
def test_headers_that_claim_more_than_there_is(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    if b"\xff\xff\xff\xff" in content:
        os.truncate(tmp_path / "x.npy", 1 << 33)  # takes no space on the disk
    start = time.monotonic()
    said = (
        *("is damaged, or holds something else than numbers", "states the shape (", "states a header longer than"),
        "holds values that have no bytes",
    )
    assert refused(tmp_path / "x.npy").startswith(said)
    assert time.monotonic() - start < 5


def test_a_tensor_file_that_was_compressed(tmp_path: Path) -> None:
    torch.save(torch.rand(4, 1, 28, 28), tmp_path / "x.pt")
    with (
        zipfile.ZipFile(tmp_path / "x.pt") as old,
        zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert refused(tmp_path / "y.pt").startswith("was compressed or encrypted, which torch.save does not do, expected ")


def test_a_tensor_file_that_claims_a_million_million_rows(tmp_path: Path) -> None:
    torch.save(torch.zeros(1, 1, 1, 1).expand(10**12, 1, 28, 28), tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 2000
    assert refused(tmp_path / "x.pt").startswith("claims more numbers than it has, expected ")


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A grey PNG that says it has this size."""
    first = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (first, *chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png(2**31 - 1, 2**31 - 1), "has too many pixels, expected images of 28 x 28"),
        (png(10_000, 10_000), "has too many pixels, expected images of 28 x 28"),
        (png(28, 28, (b"IDAT", zlib.compress(bytes(10)))), "is damaged or cut short"),
        (png(28, 28, (b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26)))), "is damaged or cut short"),
    ],
)
def test_images_that_claim_more_than_there_is(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(content)
    assert refused(tmp_path / "x.png").startswith(reason)


def test_a_file_of_the_right_name_and_endless_size(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.fromarray(DIGITS[0]).save(picture, "PNG")
    (tmp_path / "x.png").write_bytes(picture.getvalue())
    assert values(tmp_path / "x.png").shape == (1, 1, 28, 28)
    os.truncate(tmp_path / "x.png", 1 << 33)
    assert refused(tmp_path / "x.png") == "cannot be read (has more than 64 MiB)"

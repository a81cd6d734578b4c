"""The cache of decoded images: made once, undamaged or made anew, gone on with, and never in the way."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hnet_cl.core.capacity import TooLargeError
from hnet_cl.core.locking import locked
from hnet_cl.datasets import pixel_cache
from hnet_cl.datasets.image_pixels import Form
from hnet_cl.datasets.pixel_cache import Source, load_pixels

NUMBER = 10


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The contents of all files that are decoded; four images at a time."""
    contents: list[bytes] = []
    decode = pixel_cache.decode

    def counted(content: bytes, form: Form) -> Any:
        contents.append(content)
        return decode(content, form)

    monkeypatch.setattr(pixel_cache, "decode", counted)
    monkeypatch.setattr(pixel_cache, "AT_A_TIME", 4)
    return contents


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Ten images of 4 x 4 pixels; the pixels of number n are n."""
    (tmp_path / "images").mkdir()
    for number in range(NUMBER):
        path = tmp_path / "images" / f"{number}.png"
        Image.new("L", (4, 4), number).save(path)
        os.utime(path, (1e9, 1e9))
    names = [f"{number}.png" for number in range(NUMBER)]
    return Source(tmp_path / "images", names, Form(1, 4, "crop", None), False, "dataset.{}".format)


def check(images: Tensor, numbers: list[int] | None = None) -> None:
    numbers = list(range(NUMBER)) if numbers is None else numbers
    assert images.shape == (len(numbers), 1, 4, 4) and images.dtype == torch.uint8
    assert [images[at].unique().tolist() for at in range(len(numbers))] == [[number] for number in numbers]


def files_in(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.suffix != ".lock")


def test_decoded_once(source: Source, tmp_path: Path, decoded: list[bytes]) -> None:
    for _ in range(2):
        found = load_pixels(source, tmp_path / "cache")
        check(found.images)
        assert found.usable.tolist() == [True] * NUMBER and len(decoded) == NUMBER
    pixels, rows = files_in(tmp_path / "cache")
    assert (pixels.suffix, rows.suffix, pixels.stat().st_size) == (".pixels", ".rows", NUMBER * 16)
    (tmp_path / "cache").chmod(0o500)
    check(load_pixels(source, tmp_path / "cache").images)
    (tmp_path / "cache").chmod(0o700)
    assert len(decoded) == NUMBER, "a cache that cannot be written to can be read"


@pytest.mark.parametrize(
    "damage", ["pixels cut", "pixels flipped", "pixels gone", "rows cut", "rows flipped", "rows gone"]
)
def test_a_damaged_cache_is_made_anew(damage: str, source: Source, tmp_path: Path, decoded: list[bytes]) -> None:
    load_pixels(source, tmp_path / "cache")
    which, how = damage.split()
    (path,) = (tmp_path / "cache").glob(f"*.{which}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[: len(content) // 2], "flipped": content, "gone": b""}[how])
    if how == "gone":
        path.unlink()
    check(load_pixels(source, tmp_path / "cache").images)
    assert len(decoded) == 2 * NUMBER
    check(load_pixels(source, tmp_path / "cache").images)
    assert len(decoded) == 2 * NUMBER


@pytest.mark.parametrize("recently", [False, True])
def test_a_changed_image_is_noticed(recently: bool, source: Source, tmp_path: Path, decoded: list[bytes]) -> None:
    before = load_pixels(source, tmp_path / "cache").images
    path = source.files[3]
    if recently:  # without a trace in its times
        Image.new("L", (4, 4), 99).save(path)
        os.utime(path, (1e9, 1e9))
    else:
        os.utime(path, (2e9, 2e9))
        load_pixels(source, tmp_path / "cache")
        assert len(decoded) == NUMBER, "its content is the same"
        Image.new("L", (4, 4), 99).save(path)
    check(load_pixels(source, tmp_path / "cache").images, [0, 1, 2, 99, *range(4, NUMBER)])
    check(before), "who had mapped the cache keeps what it had"


def test_a_process_that_was_killed_is_gone_on_with(
    source: Source, tmp_path: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = pixel_cache.decode

    def killed(content: bytes, form: Form) -> Any:
        if len(decoded) == 9:
            raise KeyboardInterrupt
        return decode(content, form)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pixel_cache, "decode", killed)
        load_pixels(source, tmp_path / "cache")
    assert all(".part." in path.name for path in files_in(tmp_path / "cache")), "nothing half made passes for whole"
    Image.new("L", (4, 4), 99).save(source.files[6])
    decoded.clear()
    check(load_pixels(source, tmp_path / "cache").images, [*range(6), 99, *range(7, NUMBER)])
    assert len(decoded) == 4, "the first six of eight still hold"
    assert [path.suffix for path in files_in(tmp_path / "cache")] == [".pixels", ".rows"]


def test_another_form_has_another_cache(source: Source, tmp_path: Path, decoded: list[bytes]) -> None:
    load_pixels(source, tmp_path / "cache")
    small = Source(source.root, source.names, Form(3, 2, "crop", None), False, source.key)
    assert load_pixels(small, tmp_path / "cache").images.shape == (NUMBER, 3, 2, 2)
    check(load_pixels(source, tmp_path / "cache").images)
    assert len(decoded) == 2 * NUMBER


@pytest.mark.parametrize("reason", ["full", "in the way"])
def test_where_nothing_can_be_written_it_goes_on(
    reason: str,
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if reason == "full":
        monkeypatch.setattr(os, "posix_fallocate", full)
    else:
        (tmp_path / "cache").write_text("")
    found = load_pixels(source, tmp_path / "cache")
    check(found.images)
    assert found.usable.all() and len(set(found.digests)) == NUMBER
    said = {"full": "No space left on device", "in the way": "File exists"}[reason]
    assert f"cannot be written ({said}): the images are decoded into memory, as again by the next run" in caplog.text
    assert reason != "full" or files_in(tmp_path / "cache") == [], "no room is taken"
    monkeypatch.setattr(pixel_cache, "memory_limit", lambda: 100)
    with pytest.raises(TooLargeError, match=r"^dataset\.size=4: the decoded images take at least"):
        load_pixels(source, tmp_path / "cache")


def test_another_process_is_waited_for(
    source: Source, tmp_path: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_pixels(source, tmp_path / "cache")
    (lock,) = (tmp_path / "cache").glob("*.lock")
    kept = {path: path.read_bytes() for path in files_in(tmp_path / "cache")}
    for path in kept:
        path.unlink()
    other = locked(lock)
    other.__enter__()

    def ends(_: float) -> None:
        for path, content in kept.items():
            path.write_bytes(content)
        other.__exit__(None, None, None)

    monkeypatch.setattr(pixel_cache, "sleep", ends)
    check(load_pixels(source, tmp_path / "cache").images)
    assert len(decoded) == NUMBER, "what it has made is used"


def test_nothing_of_the_images_is_kept_in_memory(source: Source, tmp_path: Path) -> None:
    found = load_pixels(source, tmp_path / "cache").images
    (pixels,) = (tmp_path / "cache").glob("*.pixels")
    raw = np.memmap(pixels, np.uint8, "r+")
    raw[16] = 200  # of the second image
    raw.flush()
    assert found[1, 0, 0, 0] == 200

"""The cache of decoded data: what is kept, what counts as damaged, and that it is never in the way."""

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hnet_cl.datasets.cache import FOLDER, cached


class Maker:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> tuple[Tensor, ...]:
        self.asked += 1
        return torch.arange(6, dtype=torch.uint8).view(2, 3), torch.tensor([4, 5])


def check(found: tuple[Tensor, ...]) -> None:
    assert [tensor.tolist() for tensor in found] == [[[0, 1, 2], [3, 4, 5]], [4, 5]]
    assert [tensor.dtype for tensor in found] == [torch.uint8, torch.int64]


def test_made_once_for_each_key(tmp_path: Path) -> None:
    make = Maker()
    for key, asked in (("a", 1), ("a", 1), ("b", 2), ("a", 2)):
        check(cached(tmp_path, "faces", key, make))
        assert make.asked == asked
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == ["faces-a.pt", "faces-b.pt"]


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "pickle", "bit"])
def test_a_damaged_file_counts_as_missing(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make = Maker()
    cached(tmp_path, "faces", "a", make)
    path = tmp_path / FOLDER / "faces-a.pt"
    raw = path.read_bytes()
    if damage == "other":
        torch.save([1, 2], path)
    elif damage == "bit":
        kept = torch.load(path, weights_only=True)
        kept["tensors"][0][0, 0] = 9
        torch.save(kept, path)
    else:
        path.write_bytes({"cut": raw[: len(raw) // 2], "empty": b"", "pickle": b"cos\nsystem\n(S'exit'\ntR."}[damage])
    check(cached(tmp_path, "faces", "a", make))
    assert make.asked == 2
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert str(path) in warning and "made again" in warning and "\n" not in warning
    check(cached(tmp_path, "faces", "a", make))
    assert make.asked == 2, "the new file is good"


def test_nothing_half_made_stays(tmp_path: Path) -> None:
    def fail() -> tuple[Tensor, ...]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "faces", "a", fail)
    assert list(tmp_path.rglob("*")) == []


def test_where_nothing_can_be_written_it_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FOLDER).write_text("a file in the way")
    check(cached(tmp_path, "faces", "a", Maker()))
    messages = [record.getMessage() for record in caplog.records]
    assert any("cannot be written (File exists): the next run decodes its images again" in line for line in messages)

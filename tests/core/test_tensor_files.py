"""Files of torch.save that hold less, or something else, than they say."""

import io
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hnet_cl.core.tensor_files import ContentError, load_plain, load_tensor


class Asks:
    """Asks for anything when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def claims(rows: int, storage: Tensor | None = None) -> Asks:
    """A tensor of that many rows over two numbers."""
    stored = (torch.zeros(2) if storage is None else storage).storage()
    return Asks(torch._utils._rebuild_tensor_v2, stored, 0, (rows, 2), (2, 1), False, OrderedDict())


def packed_anew(path: Path, compression: int) -> None:
    """The same archive, in which every file is compressed."""
    with zipfile.ZipFile(path) as old:
        files = [(name, old.read(name)) for name in old.namelist()]
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, content in files:
            new.writestr(name, content)


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize(
    "value",
    [
        torch.rand(3, 2),
        torch.arange(6, dtype=torch.uint8).view(3, 2).T,
        nn.Parameter(torch.rand(3)),
        torch.rand(3).to(torch.bfloat16),
        torch.rand(1, 2).expand(3, 2),
        torch.rand(5, 2)[1:3],
    ],
)
def test_tensors_are_read(value: Tensor, archive: bool, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "x.pt", _use_new_zipfile_serialization=archive)
    found = load_tensor(tmp_path / "x.pt")
    assert torch.equal(found, value.detach()) and found.dtype == value.dtype and not found.requires_grad


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("rows", [10**6, 10**12])
@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_rows_that_are_not_there(rows: int, archive: bool, tmp_path: Path) -> None:
    for value in (claims(rows), torch.zeros(1, 2).expand(rows, 2)):
        torch.save(value, tmp_path / "x.pt", _use_new_zipfile_serialization=archive)
        assert (tmp_path / "x.pt").stat().st_size < 2000
        with pytest.raises((ContentError, RuntimeError)):
            load_tensor(tmp_path / "x.pt")


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize(
    "value", [Asks(bytearray, 10**12), Asks(torch.Tensor, 10**7, 10**7), {"x": Asks(eval, "1")}, b"x", OrderedDict()]
)
def test_anything_but_a_tensor_is_not_even_built(value: Any, archive: bool, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "x.pt", _use_new_zipfile_serialization=archive)
    with pytest.raises(ContentError, match="holds something else than one dense tensor"):
        load_tensor(tmp_path / "x.pt")


def test_an_archive_that_was_compressed_is_refused(tmp_path: Path) -> None:
    torch.save(torch.rand(100, 2), tmp_path / "x.pt")
    packed_anew(tmp_path / "x.pt", zipfile.ZIP_DEFLATED)
    with pytest.raises(ContentError, match="was compressed"):
        load_tensor(tmp_path / "x.pt")
    with pytest.raises(ContentError, match="was compressed"):
        load_plain(io.BytesIO((tmp_path / "x.pt").read_bytes()))


def test_an_archive_that_was_packed_anew_is_read(tmp_path: Path) -> None:
    value = torch.rand(100, 2)
    torch.save(value, tmp_path / "x.pt")
    packed_anew(tmp_path / "x.pt", zipfile.ZIP_STORED)
    assert torch.equal(load_tensor(tmp_path / "x.pt"), value)


def test_parts_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    torch.save(torch.zeros(1000), tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt", "a") as archive:
        (large,) = [member for member in archive.infolist() if member.file_size == 4000]
        archive.filelist += [large] * 1000
        archive._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(ContentError, match="claims more bytes than it has"):
        load_tensor(tmp_path / "x.pt")


@pytest.mark.parametrize("size", [3, 100, 900, -30])
def test_damaged_files(size: int, tmp_path: Path) -> None:
    torch.save(torch.zeros(100), tmp_path / "x.pt")
    content = (tmp_path / "x.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(content[:size])
    with pytest.raises((ContentError, RuntimeError, ValueError, EOFError)):
        load_tensor(tmp_path / "x.pt")
    with pytest.raises((ContentError, RuntimeError)):
        load_plain(io.BytesIO(content[:size]))


def test_plain_values_are_read_and_code_is_not_run(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"a": torch.ones(2), "b": [1, None, "x"]}, file)
    file.seek(0)
    found = load_plain(file)
    assert found["a"].tolist() == [1, 1] and found["b"] == [1, None, "x"]
    file = io.BytesIO()
    torch.save(Asks(Path.mkdir, tmp_path / "made"), file)
    file.seek(0)
    with pytest.raises(ContentError, match="holds something else than tensors and plain values"):
        load_plain(file)
    assert not (tmp_path / "made").exists()

"""Files that are there whole or not at all."""

import os
from pathlib import Path

import pytest

from hnet_cl.core.atomic_files import at_home, replace_file, write_atomically


def test_the_new_content_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    with replace_file(path) as part:
        part.write_text("new")
        assert part.parent == tmp_path and part.suffix == ".json"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_all_new_files(umask: int, mode: int, tmp_path: Path) -> None:
    usual = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", "")
    finally:
        os.umask(usual)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_exception_leaves_what_was_there(tmp_path: Path, old: str | None, error: BaseException) -> None:
    path = tmp_path / "result.json"
    if old is not None:
        path.write_text(old)
    with pytest.raises(type(error)), replace_file(path) as part:
        part.write_text("half")
        raise error
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == ([("result.json", old)] if old else [])


def test_text_is_written_as_utf8_and_bytes_as_they_are(tmp_path: Path) -> None:
    write_atomically(tmp_path / "text", "±0.1\n")
    write_atomically(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "text").read_bytes() == b"\xc2\xb10.1\n"
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "file", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_leading_tilde_is_the_home_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/the/home")
    paths = ["~", "~/x y", "x/~", "", "~nobody_at_all/x"]
    assert [at_home(path) for path in paths] == ["/the/home", "/the/home/x y", "x/~", "", "~nobody_at_all/x"]

"""Files and folders of a user's own that may not be read: one line that names them.

Tests may run as root, whom permissions do not bind, so the system's answer is put on.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_arrays
import test_folder
import torch

from hnet_cl.core.atomic_files import require_writable
from hnet_cl.core.errors import UserError


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Has the system refuse to open, list or look at a path and what is below it."""

    def forbidden(path: Path) -> None:
        def refusing(real: Any, below: bool) -> Any:
            def call(given: Any, *args: Any, **more: Any) -> Any:
                place = Path(os.fsdecode(given)) if isinstance(given, (str, os.PathLike)) else Path()
                if path in ((*place.parents,) if below else (place, *place.parents)):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(given))
                return real(given, *args, **more)

            return call

        for name in ("open", "scandir", "listdir"):
            monkeypatch.setattr(os, name, refusing(getattr(os, name), below=False))
        monkeypatch.setattr(os, "stat", refusing(os.stat, below=True))

    return forbidden


def line_of(read: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as said:
        read()
    assert "\n" not in str(said.value)
    return str(said.value)


@pytest.mark.parametrize(
    ("root", "secret", "said"),
    [
        ("", "X.npy", "{at}/X.npy cannot be read (Permission denied)"),
        ("", "", "{at} cannot be listed (Permission denied): give a folder, or a .npz or .pt file"),
        ("", "classes.txt", "{at}/classes.txt cannot be read (Permission denied); make it readable, or remove it"),
        ("x.npz", "x.npz", "{at}/x.npz cannot be read (Permission denied)"),
        ("x.pt", "x.pt", "{at}/x.pt cannot be read (Permission denied)"),
        ("x.pt", "", "dataset.root={at}/x.pt: cannot be looked at (Permission denied); give a place that can"),
    ],
)
def test_arrays_that_may_not_be_read(
    root: str, secret: str, said: str, tmp_path: Path, forbid: Callable[[Path], None]
) -> None:
    at = tmp_path / "mine"
    at.mkdir()
    x, y = np.zeros((8, 2), np.float32), np.arange(8) % 2
    test_arrays.save(at, X=x, y=y)
    np.savez(at / "x.npz", X=x, y=y)
    torch.save({"X": torch.zeros(8, 2), "y": torch.arange(8) % 2}, at / "x.pt")
    (at / "classes.txt").write_text("a\nb\n")
    forbid(at / secret)
    assert line_of(lambda: test_arrays.read(at / root)) == said.format(at=at)


@pytest.mark.parametrize(
    ("secret", "csv", "said"),
    [
        ("", None, "{at} cannot be listed (Permission denied): give a folder that can"),
        ("b", None, "{at}/b cannot be listed (Permission denied): give a folder that can"),
        ("b/1.png", None, "{at}: b/1.png cannot be read (Permission denied): replace or remove such images, or leave"),
        ("list.csv", "list.csv", "{at}/list.csv cannot be read (Permission denied): give a csv file that may be read"),
        ("b", "list.csv", "{at}: b/0.png cannot be read (Permission denied); b/1.png cannot be read (Permission de"),
    ],
)
def test_images_that_may_not_be_read(
    secret: str, csv: str | None, said: str, tmp_path: Path, forbid: Callable[[Path], None]
) -> None:
    at = tmp_path / "mine"
    names = [f"{label}/{number}.png" for label in "ab" for number in range(2)]
    for name in names:
        test_folder.write(at / name, 7)
    (at / "list.csv").write_text("path,label\n" + "".join(f"{name},{name[0]}\n" for name in names))
    forbid(at / secret)
    assert line_of(lambda: test_folder.read(at, csv=csv)).startswith(said.format(at=at))


def test_a_folder_that_may_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_writable(tmp_path)
    require_writable(tmp_path / "to be made")
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(PermissionError) as caught:
        require_writable(tmp_path)
    assert (caught.value.filename, caught.value.strerror) == (str(tmp_path), "Permission denied")
    require_writable(tmp_path / "to be made")

"""Files that are there whole or not at all."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PART = ".part-"
_DIGITS = 16


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path in the same folder to write to; on success it takes the place of `path`.

    The content is on disk before the name changes. After an exception `path` is as it was and the part is gone.
    """
    part = path.with_name(f".{path.stem}{_PART}{secrets.token_hex(_DIGITS // 2)}{path.suffix}")
    part.touch(exist_ok=False)  # with the permissions that the user gives to new files
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def is_part(name: str) -> bool:
    """Whether a file of that name is a temporary one of `replace_file`."""
    return re.fullmatch(rf"\..+{re.escape(_PART)}[0-9a-f]{{{_DIGITS}}}(\.[^.]*)?", name) is not None


def remove_parts(folder: Path) -> None:
    """Removes what `replace_file` left half-written in `folder` when its process was killed.

    Only for a folder of ours in which nobody else writes at the moment.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if is_part(path.name):
            path.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes `content` (text as UTF-8) by way of `replace_file`.

    Raises:
        OSError: e.g. the disk is full; `path` is then as it was.
    """
    with replace_file(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def at_home(path: str) -> str:
    """The path with the user's home for a leading ~, as a shell reads it: also where no shell has, as in KEY=~/x."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError:  # nobody has that name
        return path

"""Files that are there whole or not at all, and what to say where the system refuses one."""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hnet_cl.core.plain_text import shown

_PART = ".part-"
_DIGITS = 16


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path in the same folder to write to; on success it takes the place of `path`.

    The content is on disk before the name changes. After an exception `path` is as it was and the part is gone.

    Raises:
        OSError: as `write_atomically`.
    """
    part = path.with_name(f".{path.stem}{_PART}{secrets.token_hex(_DIGITS // 2)}{path.suffix}")
    try:
        part.touch(exist_ok=False)  # with the permissions that the user gives to new files
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        if error.filename in (None, str(part)):
            error.filename, error.filename2 = str(path), None  # the other name would say nothing to anybody
        raise
    finally:
        with suppress(OSError):  # whoever works in the folder next removes it
            part.unlink(missing_ok=True)


def is_part(name: str) -> bool:
    """Tells whether a file of that name is a temporary one of `replace_file`."""
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
        OSError: e.g. the disk is full; it names `path`, which is as it was.
    """
    with replace_file(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def at_home(path: str) -> str:
    """Expands a leading ~ to the user's home as a shell does: also where no shell has, as in KEY=~/x."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError:  # nobody has that name
        return path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the name of this file to an OSError that names none, as those of writing and locking."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


_FULL = "make room there, or choose another output_dir; the same command goes on from what is saved"
_REFUSED = "make it accessible, or choose another output_dir or data_dir"
_BROKEN = "the disk or network drive fails; once it works, the same command goes on from what is saved"
_REMEDIES = (
    dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _FULL)
    | dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _REFUSED)
    | dict.fromkeys((errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.ENODEV, errno.ENXIO), _BROKEN)
    | dict.fromkeys((errno.EMFILE, errno.ENFILE), "too many files are open: raise the limit (ulimit -n)")
    | {errno.ENAMETOOLONG: "choose a shorter output_dir or hydra.run.dir"}
)


def refusal(error: OSError) -> str:
    """Returns one line on what the system refused, and what to do."""
    return f"{refused(error)}; {_REMEDIES.get(error.errno or 0, 'check output_dir and data_dir')}"


def refused(error: OSError) -> str:
    """Names what the system refused: the file, or both of a renaming, and why."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    place = " -> ".join(map(shown, names))
    reason = " ".join((error.strerror or str(error) or type(error).__name__).split())
    return f"{place}: {reason}" if place else reason

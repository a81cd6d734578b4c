"""Files that are written atomically, and messages for files that the system refuses."""

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
    """Yields a temporary path in the same folder to write to; on success that file replaces `path`.

    The content is on disk before the file is renamed. After an exception `path` is unchanged and the temporary file is
    removed.

    Raises:
        OSError: see `write_atomically`.
    """
    part = path.with_name(f".{path.stem}{_PART}{secrets.token_hex(_DIGITS // 2)}{path.suffix}")
    try:
        part.touch(exist_ok=False)  # with the user's default permissions for new files
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        if error.filename in (None, str(part)):
            error.filename, error.filename2 = str(path), None  # the temporary name would mean nothing to users
        raise
    finally:
        with suppress(OSError):  # the next process to work in the folder removes it
            part.unlink(missing_ok=True)


def is_part(name: str) -> bool:
    """Tells whether a file of that name is a temporary file of `replace_file`."""
    return re.fullmatch(rf"\..+{re.escape(_PART)}[0-9a-f]{{{_DIGITS}}}(\.[^.]*)?", name) is not None


def remove_parts(folder: Path) -> None:
    """Removes temporary files of `replace_file` that killed processes have left in `folder`.

    Only for folders of hnet_cl in which no other process is writing.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if is_part(path.name):
            path.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes `content` (text as UTF-8) to `path` atomically, by `replace_file`.

    Raises:
        OSError: e.g. the disk is full; the error names `path`, which is unchanged.
    """
    with replace_file(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def require_writable(folder: Path) -> None:
    """Checks that files can be made in a folder, if it exists.

    Raises:
        PermissionError: it may not be written to, or not be looked into.
    """
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def at_home(path: str) -> str:
    """Expands a leading ~ to the user's home, also where a shell would not, as in KEY=~/x."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError:  # there is no user of that name
        return path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the name of this file to any OSError inside that names none, such as those of writing and locking."""
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
    """Returns one line that says what the system refused and what to do."""
    return f"{refused(error)}; {_REMEDIES.get(error.errno or 0, 'check output_dir and data_dir')}"


def refused(error: OSError) -> str:
    """Returns what the system refused and why: the file (or both files of a renaming) and the reason."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    place = " -> ".join(map(shown, names))
    reason = " ".join((error.strerror or str(error) or type(error).__name__).split())
    return f"{place}: {reason}" if place else reason

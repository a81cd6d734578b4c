"""The lock of a run folder, also on file systems that cannot lock files."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from hnet_cl.core.atomic_files import naming
from hnet_cl.core.errors import BusyError

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
MARKER = ".lock-holder"
PATIENCE = 3.0  # seconds to wait for a marker; filelock takes an incomplete one for a leftover after two seconds

log = logging.getLogger("hnet_cl")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Locks the file `path` for this process while inside. The lock also ends when the process dies.

    Some network drives do not support file locks. There a file MARKER next to it serves as the lock and names the
    process that holds it. A marker of a process of this machine that no longer exists is ignored; one of a process of
    another machine always counts.

    Raises:
        BusyError: another process holds the lock.
        OSError: the lock cannot be created.
    """
    lock = _acquired(path)
    try:
        yield
    finally:
        with suppress(OSError):  # the system releases it anyway
            lock.release()


def _acquired(path: Path) -> BaseFileLock:
    lock: BaseFileLock = FileLock(path, fallback_to_soft=False)
    try:
        with naming(path):
            lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"{path.parent}: another process is working on this run; wait for it, or end it") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        log.warning("%s: files cannot be locked here (%s); %s there takes the place", path, error.strerror, MARKER)
        return _marked(path.with_name(MARKER))
    return lock


def _marked(path: Path) -> BaseFileLock:
    marker = SoftFileLock(path)
    try:
        with naming(path):
            marker.acquire(timeout=PATIENCE)
    except Timeout:
        raise BusyError(
            f"{path.parent}: another process is working on this run; wait for it, or end it. If it was on another "
            f"machine that has failed, remove {path}"
        ) from None
    return marker

"""A run folder's lock, also where the file system has none."""

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
PATIENCE = 3.0  # seconds; what is not yet a whole marker is a leftover after two of them

log = logging.getLogger("hnet_cl")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Locks the file `path` for this process. The lock ends with the process, however that ends.

    Some network drives refuse to lock files. There a file MARKER beside it is the lock, and names the process that has
    it: one of this machine that is no longer there does not count, one of another machine always does.

    Raises:
        BusyError: another process has it.
        OSError: it cannot be made.
    """
    lock = _acquired(path)
    try:
        yield
    finally:
        with suppress(OSError):  # the system takes it back anyway
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

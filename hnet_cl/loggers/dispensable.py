"""What a run can do without: it goes on where a log of its events cannot be written."""

import logging
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Protocol

from hnet_cl.core.atomic_files import naming, refused

_log = logging.getLogger("hnet_cl")


class Losable(Protocol):
    """Whose methods do nothing once it is `lost`; it writes to `path`."""

    lost: bool
    path: Path


def dispensable(method: Callable[..., None]) -> Callable[..., None]:
    """A method that, where the system refuses a file, warns once and says no more."""

    @wraps(method)
    def careful(self: Losable, *args: Any, **kwargs: Any) -> None:
        if self.lost:
            return
        try:
            with naming(self.path):
                method(self, *args, **kwargs)
        except OSError as error:
            self.lost = True
            _log.warning("TensorBoard's events end here, the run goes on: %s", refused(error))

    return careful


def silence_writer() -> None:
    """From here on, no traceback of TensorBoard's writing thread: its error is raised where events are logged."""
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _of_other_threads


def _of_other_threads(args: threading.ExceptHookArgs) -> None:
    if type(args.thread).__name__ != "_AsyncWriterThread":
        threading.__excepthook__(args)

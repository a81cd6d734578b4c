"""Processes that work for the head of a sweep, and end with it."""

import atexit
import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from hnet_cl.core import streams
from hnet_cl.core.errors import Interrupted
from hnet_cl.core.signals import ENDING, Interruption, entered
from hnet_cl.sweeps.errors import JobError

GRACE_S = 10  # for a worker to save what it does when its head is gone


class Lifeline:
    """A pipe with a name whose end the head holds open as long as it wants its workers to go on.

    It closes when the head gets a signal, and however the head dies.
    """

    _writing: int | None = None

    def __getstate__(self) -> dict[str, Path]:
        """Returns what is sent to a worker."""
        return {"path": self.path}

    @cached_property
    def path(self) -> Path:
        """Returns the path where workers find it; creates it when first asked for."""
        folder = tempfile.mkdtemp(prefix="hnet_cl-")
        path = Path(folder, "lifeline")
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # without a reader it cannot be opened for writing
        self._writing = os.open(path, os.O_WRONLY)
        os.close(reading)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return path

    @contextmanager
    def held(self) -> Iterator[Path]:
        """Starts new processes with signals blocked, and passes the head's first signal on: they save and end."""
        path, own = self.path, entered()
        if own is None:
            yield path
            return
        own.on_request.append(self.close)
        try:
            with own.passed_on():
                if own.pending:
                    self.close()
                yield path
        finally:
            own.on_request.remove(self.close)

    def close(self) -> None:
        """Tells the workers to end."""
        writing, self._writing = self._writing, None
        if writing is not None:
            os.close(writing)


class Worker:
    """This process, as one that works for a head; to be made once, in its main thread.

    Args:
        lifeline: the path of the head's.
    """

    def __init__(self, lifeline: Path) -> None:
        streams.forgive()
        self._interruption = Interruption().begin()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # see `Interruption.passed_on`
        self._left_alone = threading.Event()
        threading.Thread(target=self._watch, args=(lifeline,), daemon=True).start()

    def do(self, job: Callable[[], JobReturn]) -> JobReturn:
        """Runs the job; returns a failure if it was interrupted or need not begin.

        A worker that was asked to end by somebody else than its head does so: the head would give it the next job.
        """
        try:
            self._interruption.answer()
            return job()
        except Interrupted as reason:
            if not self._left_alone.wait(1):
                os._exit(reason.exit_code)
            done = JobReturn()
            done.status, done.return_value = JobStatus.FAILED, JobError(str(reason))
            return done

    def _watch(self, lifeline: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            reading = os.open(lifeline, os.O_RDONLY | os.O_NONBLOCK)
            os.set_blocking(reading, True)
            os.read(reading, 1)  # until nobody holds the other end
            shutil.rmtree(lifeline.parent, ignore_errors=True)
        self._left_alone.set()
        self._interruption.request(signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(128 + signal.SIGTERM)

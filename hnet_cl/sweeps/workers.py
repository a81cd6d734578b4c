"""Worker processes of a sweep, which end when the sweep's own process, its head, does."""

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

GRACE_S = 10  # seconds that a worker has to save its run once its head is gone


class Lifeline:
    """A named pipe that the head keeps open as long as its workers should continue.

    It closes when the head receives a signal and when the head dies for any reason.
    """

    _writing: int | None = None

    def __getstate__(self) -> dict[str, Path]:
        """Returns the state that is pickled for a worker: the path alone."""
        return {"path": self.path}

    @cached_property
    def path(self) -> Path:
        """Returns the path of the pipe, which is created at the first access."""
        folder = tempfile.mkdtemp(prefix="hnet_cl-")
        path = Path(folder, "lifeline")
        os.mkfifo(path)
        reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # without a reader, opening it for writing would block
        self._writing = os.open(path, os.O_WRONLY)
        os.close(reading)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return path

    @contextmanager
    def held(self) -> Iterator[Path]:
        """Blocks signals in processes started inside, and closes the pipe at the head's first signal; yields its path.

        The workers then save their runs and end.
        """
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
        """Closes the pipe, which makes the workers end."""
        writing, self._writing = self._writing, None
        if writing is not None:
            os.close(writing)


class Worker:
    """This process as a worker of a head; create it once, in the main thread.

    Args:
        lifeline: path of the head's `Lifeline`.
    """

    def __init__(self, lifeline: Path) -> None:
        streams.forgive()
        self._interruption = Interruption().begin()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # see `Interruption.passed_on`
        self._left_alone = threading.Event()
        threading.Thread(target=self._watch, args=(lifeline,), daemon=True).start()

    def do(self, job: Callable[[], JobReturn]) -> JobReturn:
        """Runs the job; returns a failure if a signal interrupts it or has come before it begins.

        If the signal does not come from the end of the head, the process exits, as the head would otherwise give it the
        next job.
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
            os.read(reading, 1)  # until the other end is closed
            shutil.rmtree(lifeline.parent, ignore_errors=True)
        self._left_alone.set()
        self._interruption.request(signal.SIGTERM)
        time.sleep(GRACE_S)
        os._exit(128 + signal.SIGTERM)

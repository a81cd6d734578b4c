"""Signals that ask a process to end: it ends at a point where nothing is lost, or at once after a second signal.

A signal handler that raises at an arbitrary point can break imports and C++ callbacks, so signals are held from the
first line of a command on. They take effect at points that check for them (`answer`), and immediately in code that can
be stopped anywhere and may take long (`interruptible`).
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from hnet_cl.core.errors import Interrupted

# Ctrl-C; what clusters send before they take a machine away; the terminal was closed.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RETRY_S = 0.1  # seconds after which a signal that came during an import is sent again


class Interruption:
    """A context in which signals of `ENDING` raise `Interrupted`: at once, or at `release` if they came after `hold`.

    If a job scheduler has installed a handler for one of them, or for SIGUSR2, that handler is called at that moment
    instead: it may requeue the job or let it continue. A second signal does not wait for `release`. Python handles
    signals in the main thread only; in other threads nothing is installed.

    Several runs may share an interruption and take turns: a signal that ends one run stays `pending` for the others.

    Attributes:
        begun: whether there is anything that could be continued.
        on_request: functions that are called when the first signal arrives.
    """

    def __init__(self) -> None:
        self.begun = False
        self.on_request: list[Callable[[], None]] = []
        self._previous: dict[int, Any] = {}
        self._held = False
        self._pending: int | None = None
        self._put_off = False  # whether a signal that is not held came during an import
        self._requested = False
        self._repeats = 0  # signals that this process has sent to itself
        self._watched = False

    def __enter__(self) -> Self:
        for signum in (*ENDING, signal.SIGUSR2):
            handler = signal.getsignal(signum)
            if handler in (signal.SIG_IGN, None) or (handler == signal.SIG_DFL and signum not in ENDING):
                continue
            try:
                signal.signal(signum, self._handle)
            except ValueError:  # not the main thread
                return self
            self._previous[signum] = handler
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
        if self._pending is not None and not isinstance(error, Interrupted):
            self._leave(self._pending)  # the signal was held, and another error came first
        self._previous.clear()

    def begin(self) -> Self:
        """Enters the context for the rest of the process and holds signals; a second signal ends the process at once.

        This also works while the main thread is busy outside Python.
        """
        self.hold()
        self.__enter__()
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reading,), daemon=True).start()
        self._watched = True
        return self

    @property
    def pending(self) -> bool:
        """Tells whether a signal has come and has not been passed to a job scheduler's handler."""
        return self._pending is not None

    def hold(self) -> None:
        """Holds signals from now on, until `release`."""
        self._held = True

    def release(self) -> None:
        """Lets a held signal take effect and stops holding later ones.

        Raises:
            Interrupted: a signal was held, and no job scheduler has a handler for it.
        """
        self._held = False
        self.answer()

    def answer(self) -> None:
        """Lets a held signal take effect.

        Raises:
            Interrupted: see `release`.
        """
        if self._pending is not None:
            self._leave(self._pending)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Lets signals take effect at once inside, where the code can be stopped anywhere; then holds them again."""
        self.release()
        try:
            yield
        finally:
            self.hold()

    def request(self, signum: int) -> None:
        """Asks the process to end as the signal would, from any thread, without calling a job scheduler's handler."""
        self._requested = True
        self._send(signum)

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """Blocks signals in processes that are started inside, until they unblock them after their own `begin`.

        This process still receives signals, in the thread that watches for second ones. Without `begin` nothing is
        blocked.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING if self._watched else ())
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        again = self._pending is not None and not self._watched
        if self._pending is None:
            self._pending = signum
            for listener in self.on_request:
                listener()
        self._put_off = not self._held and _importing(frame)
        if again or not (self._held or self._put_off):
            self._leave(signum if again else self._pending)

    def _leave(self, signum: int) -> None:
        if self._scheduled(signum) and not self._requested:
            self._previous[signum](signum, None)
            self._pending = None
        else:
            raise Interrupted(signum, self.begun)

    def _scheduled(self, signum: int) -> bool:
        """Tells whether a job scheduler has installed its own handler for this signal."""
        previous = self._previous.get(signum)
        return callable(previous) and previous is not signal.default_int_handler

    def _send(self, signum: int) -> None:
        self._repeats += 1
        signal.pthread_kill(threading.main_thread().ident or 0, signum)

    def _watch(self, reading: int) -> None:
        """Counts signals in a separate thread, ends the process at the second, and resends one that was put off."""
        asked, wait = 0, None
        while True:
            if not select.select([reading], [], [], wait)[0]:
                if self._put_off and self._pending is not None and not self._repeats:
                    self._send(self._pending)
                continue
            wait = RETRY_S
            for signum in os.read(reading, 64):
                if signum in ENDING and self._repeats:
                    self._repeats -= 1
                elif signum in ENDING and not self._scheduled(signum):
                    asked += 1
                if asked > 1:
                    _end_at_once(signum)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end_at_once(signum: int) -> NoReturn:
    name = signal.Signals(signum).name
    with contextlib.suppress(OSError):
        if os.isatty(1):
            os.write(1, b"\x1b[?25h\n")  # a progress bar hides the cursor
        os.write(2, f"hnet_cl: ended at once by a second signal ({name})\n".encode())
    os._exit(128 + signum)


def entered() -> Interruption | None:
    """Returns the `Interruption` that this process has entered, or None."""
    for signum in ENDING:
        owner = getattr(signal.getsignal(signum), "__self__", None)
        if isinstance(owner, Interruption):
            return owner
    return None


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Yields the `Interruption` that this process has entered, or else a new one that is entered while inside."""
    if found := entered():
        yield found
    else:
        with Interruption() as new:
            yield new


def answer() -> None:
    """Lets a held signal take effect.

    Raises:
        Interrupted: there is one, and no job scheduler has a handler for it.
    """
    if found := entered():
        found.answer()


def sleep(seconds: float) -> None:
    """Sleeps until the time is over or a signal comes.

    Raises:
        Interrupted: see `answer`.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        answer()
        time.sleep(min(left, RETRY_S))
    answer()


@contextmanager
def command(program: str, otherwise: str = "") -> Iterator[Interruption]:
    """Runs a command inside, with signals held; `Interrupted` ends the process with one line and an exit code.

    Args:
        program: name of the program, with which the line begins.
        otherwise: end of the line.

    Raises:
        SystemExit: a signal ended the command; the exit code is 128 + its number.
    """
    own = Interruption().begin()
    try:
        yield own
    except Interrupted as reason:
        print(f"{program}: {reason}{otherwise}", file=sys.stderr)
        raise SystemExit(reason.exit_code) from None
    except ModuleNotFoundError as missing:
        if not missing.name or missing.name.partition(".")[0] == __name__.partition(".")[0]:
            raise
        print(
            f"{program}: the package {missing.name} is not there for {sys.executable}; activate the environment that "
            "has it (source .venv/bin/activate), or install hnet_cl there (pip install .)",
            file=sys.stderr,
        )
        raise SystemExit(2) from None

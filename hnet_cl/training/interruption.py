"""Signals that ask a run to end: it ends between two steps, with nothing lost."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

from hnet_cl.errors import Interrupted

ENDING = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what clusters send before they take a machine away


class Interruption:
    """While entered, SIGINT and SIGTERM raise `Interrupted`: at once, or between `hold` and `release` at the latter.

    A handler that a job scheduler has installed for one of them, or for SIGUSR2, is called at that moment instead:
    it may put the job back into its queue, or let it go on. A second signal in between does not wait. Signals reach
    the main thread only; elsewhere nothing is installed.

    Several runs may share one and take turns: a signal that ends a run is still `pending` for the others.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._held = False
        self._pending: int | None = None

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
            self._leave(self._pending)  # it waited, and another error came first
        self._previous.clear()

    @property
    def pending(self) -> bool:
        """Whether a signal waits for `release`."""
        return self._pending is not None

    def hold(self) -> None:
        """From here on signals wait."""
        self._held = True

    def release(self) -> None:
        """A signal that waits takes effect, and later ones no longer wait.

        Raises:
            Interrupted: one did, and no job scheduler has a handler for it.
        """
        self._held = False
        if self._pending is not None:
            self._leave(self._pending)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        waits = self._held and self._pending is None
        self._pending = signum
        if not waits:
            self._leave(signum)

    def _leave(self, signum: int) -> None:
        previous = self._previous[signum]
        if callable(previous) and previous is not signal.default_int_handler:
            previous(signum, None)
            self._pending = None
        else:
            raise Interrupted(signum)

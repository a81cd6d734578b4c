"""What ends a run on purpose: mistakes that the user can mend, and signals."""

import signal
from typing import Any

LONG = 200  # characters of a value that a line shows


class UserError(Exception):
    """A mistake the user can mend. The message is one line: key, value, what is allowed, what to do."""


def shown(value: Any) -> str:
    """A value as a line can show it, in the words of YAML: without line breaks, and cut if it is long."""
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else str(value)
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= LONG else f"{text[: LONG // 2]}[...]{text[-LONG // 4 :]}"


class BusyError(UserError):
    """Another process works on the same run folder, so what stands there is its business."""


class Interrupted(BaseException):
    """The run was asked to end by a signal. No Exception: nobody but the command line should catch it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.signum).name}"

    @property
    def exit_code(self) -> int:
        """What shells say of a process that a signal ended."""
        return 128 + self.signum

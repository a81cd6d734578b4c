"""Standard output and error that cannot end a run."""

import io
import os
import select
import sys
from typing import Any, TextIO


class _Forgiving(io.FileIO):
    """A file in which whatever cannot be written is lost: nobody reads the pipe any more, or the disk is full."""

    def write(self, data: Any) -> int:
        try:
            while (written := super().write(data)) is None:  # somebody has set it not to block
                select.select([], [self], [])
        except (OSError, ValueError):
            return len(data)
        return written


def fill_closed() -> None:
    """Puts the null device in the place of standard streams that are closed.

    Else the next file that is opened would take that place, and get what others print.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest number that is free
            setattr(sys, name, open(number, mode, closefd=False, encoding="utf-8"))  # noqa: SIM115


def forgive() -> None:
    """Makes every later print succeed, whatever becomes of the reader and whatever characters it can show."""
    fill_closed()
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)


def _forgiving(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # somebody's own, as in a notebook
        return stream
    raw = _Forgiving(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="replace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )

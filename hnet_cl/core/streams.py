"""Standard output and error whose failures cannot end a run."""

import io
import os
import select
import sys
from typing import Any, TextIO


class _Forgiving(io.FileIO):
    """A file that drops what it cannot write, e.g. because the pipe is closed or the disk is full."""

    def write(self, data: Any) -> int:
        try:
            while (written := super().write(data)) is None:  # the descriptor is non-blocking and its buffer is full
                select.select([], [self], [])
        except (OSError, ValueError):
            return len(data)
        return written


def fill_closed() -> None:
    """Opens the null device in place of closed standard streams.

    Otherwise the next file that is opened would get their descriptor, and printed text would end up in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free descriptor, `number`
            setattr(sys, name, open(number, mode, closefd=False, encoding="utf-8"))  # noqa: SIM115


def forgive() -> None:
    """Makes every later print succeed, even if the reader is gone or the encoding lacks a character."""
    fill_closed()
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)


def _forgiving(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # replaced by other software, e.g. a notebook
        return stream
    raw = _Forgiving(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="replace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )

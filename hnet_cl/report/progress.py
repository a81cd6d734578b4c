"""Lines on the progress of drawing figures, which takes about a second for each."""

from pathlib import Path
from typing import TextIO

CLEAR = "\r\x1b[K"  # back to the start of the line, and nothing left of it


class Progress:
    """Says how many figures are drawn, in one line; below it, in a terminal, which one, until the next is."""

    def __init__(self, number: int, folder: Path, out: TextIO | None) -> None:
        """Prints the line.

        Args:
            number: of figures.
            folder: where they are written, as the user would type it.
            out: where to say it; None: nowhere.
        """
        self._out = out if number else None
        self._done, self._number = 0, number
        self._say(f"Drawing {number} figure{'s' if number > 1 else ''} into {folder}.\n")

    def __call__(self, name: str) -> None:
        """Says that the figure of this name is drawn now."""
        self._done += 1
        self._say_in_terminal(f"{CLEAR}  {name} ({self._done} of {self._number})")

    @property
    def first(self) -> bool:
        """Tells whether the first figure is drawn."""
        return self._done == 1

    def end(self) -> None:
        """Removes the line of the last figure."""
        self._say_in_terminal(CLEAR)

    def _say_in_terminal(self, text: str) -> None:
        if self._out is not None and self._out.isatty():
            self._say(text)

    def _say(self, text: str) -> None:
        if self._out is not None:
            self._out.write(text)
            self._out.flush()

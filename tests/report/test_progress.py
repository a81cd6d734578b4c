"""What is said while figures are drawn."""

import io
from pathlib import Path

from hnet_cl.report.progress import CLEAR, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def said(out: io.StringIO, number: int) -> str:
    """What is said of so many figures."""
    progress = Progress(number, Path("rep"), out)
    for name in ("a", "b")[:number]:
        progress(name)
    progress.end()
    return out.getvalue()


def test_one_line_before_figures_are_drawn() -> None:
    assert said(io.StringIO(), 2) == "Drawing 2 figures into rep.\n"
    assert said(io.StringIO(), 1) == "Drawing 1 figure into rep.\n"
    assert said(io.StringIO(), 0) == ""


def test_a_terminal_shows_which_one_and_is_left_clean() -> None:
    assert said(Terminal(), 2) == f"Drawing 2 figures into rep.\n{CLEAR}  a (1 of 2){CLEAR}  b (2 of 2){CLEAR}"


def test_nothing_is_said_to_nobody_and_the_first_is_known() -> None:
    progress = Progress(2, Path("rep"), None)
    progress("a")
    assert progress.first
    progress("b")
    assert not progress.first

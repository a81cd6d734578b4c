"""The folder of a report: whose it is, and a mark in it before anything else is written there."""

import os
from pathlib import Path

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.errors import UserError

TITLE = "<title>Runs of hnet_cl</title>"  # identifies a page written by this program
PAGE, FIGURE, PLOTS = "index.html", "figure.pdf", "plots"
ENDINGS = {"text": "txt", "markdown": "md", "latex": "tex", "csv": "csv"}
UNFINISHED = f"<!doctype html>{TITLE}<p>This report was not finished. The command that makes it makes it again.</p>\n"


def require_own(folder: Path, typed: str = "") -> None:
    """Checks that a report may be written to a folder: that what it would replace is a report's.

    Args:
        folder: the folder; it need not exist.
        typed: how the user named it, for the message; empty for `--output FOLDER`.

    Raises:
        UserError: it is no folder, or holds files of a report's names that no report has written.
    """
    where = typed or f"--output {folder}"
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{where}: is no folder; give another one")
    if _is_report(folder):
        return
    for name in (PAGE, FIGURE, PLOTS, *(f"table.{ending}" for ending in ENDINGS.values())):
        if os.path.lexists(folder / name):
            raise UserError(f"{where}: {name} there was not written by a report; give another folder")


def claim(folder: Path) -> None:
    """Marks a folder that `require_own` admits as a report's, so that a report that is killed can be made again.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_report(folder):
        write_atomically(folder / PAGE, UNFINISHED)


def _is_report(folder: Path) -> bool:
    page = folder / PAGE
    return page.is_file() and TITLE in page.read_text(encoding="utf-8", errors="replace")

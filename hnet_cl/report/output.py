"""The files of a full report."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.errors import UserError
from hnet_cl.report.captions import NEEDS
from hnet_cl.report.comparison import Comparison
from hnet_cl.report.drawing import Figure, encodings
from hnet_cl.report.figures import figures
from hnet_cl.report.forms import FORM, Form
from hnet_cl.report.grouping import Section
from hnet_cl.report.ownership import ENDINGS, FIGURE, PAGE, PLOTS, claim, require_own
from hnet_cl.report.page import Part, page
from hnet_cl.report.progress import Progress
from hnet_cl.report.tables import Table


@dataclass(frozen=True)
class Drawing:
    """The figures to draw: their form, and which; None for all."""

    form: Form = FORM
    wanted: Sequence[str] | None = None


ALL = Drawing()


def write_report(
    folder: Path, compared: Comparison, command: str, drawing: Drawing = ALL, out: TextIO | None = None
) -> Path:
    """Writes tables in all formats, each figure as PDF, PNG and SVG, and the page; returns the page's path.

    `figure.pdf` is the first figure, by default the first section's curve of mean accuracy.

    Args:
        folder: where to write; made if needed.
        compared: the runs to report.
        command: the command that makes this report, shown on the page.
        drawing: which figures are drawn, and how.
        out: where to say how many figures are drawn; None: nowhere.

    Raises:
        UserError: the folder holds files of these names that no report has written, or no figure is left.
        OSError: the folder cannot be written.
    """
    require_own(folder)
    by_section: dict[int, list[Table]] = {}
    for table in compared.tables:
        by_section.setdefault(id(table.section), []).append(table)
    drawn = [figures(own[0].section, drawing.form, drawing.wanted) for own in by_section.values()]
    number = sum(map(len, drawn))
    if drawn and not number:
        wanted = drawing.wanted or ()
        needs = "".join(f"; {needed}" for name, needed in NEEDS.items() if name in wanted)
        raise UserError(f"--figure {','.join(wanted)}: no run has what it shows{needs}")
    claim(folder)
    (folder / PLOTS).mkdir(exist_ok=True)
    progress = Progress(number, folder, out)
    parts: list[Part] = []
    for own, of_section in zip(by_section.values(), drawn, strict=True):
        start = f"{len(parts) + 1}-{_slug(own[0].section)}"
        parts.append(Part(own[0].section, own, _plots(of_section, folder, start, progress)))
    progress.end()
    path = folder / PAGE
    write_atomically(path, page(parts, compared.selection, compared.remarks, compared.ci, command))
    for name, ending in ENDINGS.items():
        write_atomically(folder / f"table.{ending}", compared.render(name))
    return path


def _plots(drawn: Mapping[str, Figure], folder: Path, start: str, progress: Progress) -> Mapping[str, bytes]:
    """Writes figures by name to files whose names begin with `start`; returns the SVG files by figure name.

    The first figure of the report is also written to `FIGURE`.
    """
    files = {}
    for name, figure in drawn.items():
        progress(f"{start}-{name}")
        made = encodings(figure)
        for kind, content in made.items():
            write_atomically(folder / PLOTS / f"{start}-{name}.{kind}", content)
        if progress.first:
            write_atomically(folder / FIGURE, made["pdf"])
        files[name] = made["svg"]
    return files


def _slug(section: Section) -> str:
    """Turns the section's name into a part of a file name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(section.values)).strip("-.") or "runs"

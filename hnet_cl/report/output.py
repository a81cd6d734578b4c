"""The files of a full report."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.errors import UserError
from hnet_cl.report.captions import NEEDS
from hnet_cl.report.comparison import Comparison
from hnet_cl.report.drawing import Figure, encoded
from hnet_cl.report.figures import figures
from hnet_cl.report.forms import FORM, Form
from hnet_cl.report.grouping import Section
from hnet_cl.report.ownership import ENDINGS, FIGURE, PAGE, PLOTS, claim, require_own
from hnet_cl.report.page import Part, page
from hnet_cl.report.tables import Table


@dataclass(frozen=True)
class Drawing:
    """The figures to draw: their form, and which; None for all."""

    form: Form = FORM
    wanted: Sequence[str] | None = None


ALL = Drawing()


def write_report(folder: Path, compared: Comparison, command: str, drawing: Drawing = ALL) -> Path:
    """Writes tables in all formats, each figure as PDF, PNG and SVG, and the page; returns the page's path.

    `figure.pdf` is the first figure, by default the first section's curve of mean accuracy.

    Args:
        folder: where to write; made if needed.
        compared: the runs to report.
        command: the command that makes this report, shown on the page.
        drawing: which figures are drawn, and how.

    Raises:
        UserError: the folder holds files of these names that no report has written, or no figure is left.
        OSError: the folder cannot be written.
    """
    require_own(folder)
    by_section: dict[int, list[Table]] = {}
    for table in compared.tables:
        by_section.setdefault(id(table.section), []).append(table)
    drawn = [figures(own[0].section, drawing.form, drawing.wanted) for own in by_section.values()]
    first = next((figure for of_section in drawn for figure in of_section.values()), None)
    if drawn and first is None:
        wanted = drawing.wanted or ()
        needs = "".join(f"; {needed}" for name, needed in NEEDS.items() if name in wanted)
        raise UserError(f"--figure {','.join(wanted)}: no run has what it shows{needs}")
    claim(folder)
    (folder / PLOTS).mkdir(exist_ok=True)
    if first is not None:
        write_atomically(folder / FIGURE, encoded(first, "pdf"))
    parts: list[Part] = []
    for own, of_section in zip(by_section.values(), drawn, strict=True):
        start = f"{len(parts) + 1}-{_slug(own[0].section)}"
        parts.append(Part(own[0].section, own, _plots(of_section, folder / PLOTS, start)))
    path = folder / PAGE
    write_atomically(path, page(parts, compared.selection, compared.remarks, compared.ci, command))
    for name, ending in ENDINGS.items():
        write_atomically(folder / f"table.{ending}", compared.render(name))
    return path


def _plots(drawn: Mapping[str, Figure], folder: Path, start: str) -> Mapping[str, bytes]:
    """Writes figures by name to files whose names begin with `start`; returns the SVG files by figure name."""
    files = {}
    for name, figure in drawn.items():
        files[name] = encoded(figure, "svg")
        write_atomically(folder / f"{start}-{name}.svg", files[name])
        for kind in ("png", "pdf"):
            write_atomically(folder / f"{start}-{name}.{kind}", encoded(figure, kind))
    return files


def _slug(section: Section) -> str:
    """Turns the section's name into a part of a file name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(section.values)).strip("-.") or "runs"

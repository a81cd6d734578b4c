"""The files of a full report."""

import re
from collections.abc import Mapping
from pathlib import Path

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.report.comparison import Comparison
from hnet_cl.report.figures import Figure, encoded, figures
from hnet_cl.report.grouping import Section
from hnet_cl.report.ownership import ENDINGS, FIGURE, PAGE, PLOTS, claim, require_own
from hnet_cl.report.page import Part, page
from hnet_cl.report.tables import Table


def write_report(folder: Path, compared: Comparison, command: str) -> Path:
    """Writes tables in all formats, each figure as PNG and SVG, and the page; returns the page's path.

    `figure.pdf` is the first section's curve of mean accuracy, for a paper.

    Args:
        folder: where to write; made if needed.
        compared: the runs to report.
        command: the command that makes this report, shown on the page.

    Raises:
        UserError: the folder holds files of these names that no report has written.
        OSError: the folder cannot be written.
    """
    require_own(folder)
    claim(folder)
    (folder / PLOTS).mkdir(exist_ok=True)
    by_section: dict[int, list[Table]] = {}
    for table in compared.tables:
        by_section.setdefault(id(table.section), []).append(table)
    parts: list[Part] = []
    for own in by_section.values():
        section = own[0].section
        drawn = figures(section)
        if not parts:
            write_atomically(folder / FIGURE, encoded(next(iter(drawn.values())), "pdf"))
        parts.append(Part(section, own, _plots(drawn, folder / PLOTS, f"{len(parts) + 1}-{_slug(section)}")))
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
        write_atomically(folder / f"{start}-{name}.png", encoded(figure, "png"))
    return files


def _slug(section: Section) -> str:
    """Turns the section's name into a part of a file name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(section.values)).strip("-.") or "runs"

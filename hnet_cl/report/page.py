"""The HTML page with all tables, plots and runs. It needs no network and runs no script but its own."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

import hnet_cl
from hnet_cl.records.metrics_table import METRICS, compared
from hnet_cl.report.captions import captions
from hnet_cl.report.grouping import Section
from hnet_cl.report.looks import INK
from hnet_cl.report.notes import Note, counted
from hnet_cl.report.ownership import TITLE
from hnet_cl.report.runs import Run, one_line
from hnet_cl.report.selection import Selection
from hnet_cl.report.tables import Table, cell_text, legend, measured

HERE = Path(__file__).parent
SOUGHT = ("overrides", "config id", "error")  # details that the page's filter searches, besides a run's first line
LIGHT_AND_DARK = "<style>svg{color:#111}@media(prefers-color-scheme:dark){svg{color:#e4e7ea}}</style>"


@dataclass(frozen=True)
class Part:
    """The part of the page about one section.

    Attributes:
        section: the section.
        tables: its tables.
        plots: its figures as SVG files, by name.
    """

    section: Section
    tables: Sequence[Table]
    plots: Mapping[str, bytes]

    @property
    def title(self) -> str:
        """Returns the heading."""
        return self.section.title or "Comparison"


def page(parts: Sequence[Part], selection: Selection, notes: Sequence[Note], interval: bool, command: str) -> str:
    """Renders the page as HTML.

    Args:
        parts: tables and figures of the finished runs, by section.
        selection: all runs.
        notes: notes on the runs that tables do not show.
        interval: whether cells show confidence intervals.
        command: the command that made the page.
    """
    style, script, template = (
        (HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js", "page.html")
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters |= {"breakable": _breakable, "one_line": one_line, "picture": _picture}
    environment.globals |= {"cell_text": cell_text, "measured": measured, "others": _others, "details": _details}
    return environment.from_string(template).render(
        title=Markup(TITLE),
        style=Markup(style),
        script=Markup(script),
        allowed=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        parts=parts,
        notes=notes,
        interval=interval,
        legend=legend(interval),
        captions=captions(),
        sought=SOUGHT,
        finished=counted(len(selection.finished), "finished"),
        runs=selection.runs,
        metrics=[METRICS[name] for name in compared() if any(name in run.metrics for run in selection.runs)],
        command=command,
        version=hnet_cl.__version__,
    )


def _breakable(label: str) -> Markup:
    """Allows line breaks after the dots of dotted keys in a label."""
    return Markup(re.sub(r"\.(?=[a-z_])", ".<wbr>", escape(label)))


def _picture(svg: bytes) -> str:
    """Encodes an SVG figure in base64, for an <img> in which no script can run; its ink is light on a dark page."""
    _, start, rest = svg.decode().partition("<svg")
    attributes, end, content = rest.partition(">")
    image = start + attributes + end + LIGHT_AND_DARK + content.replace(INK, "currentColor")
    return base64.b64encode(image.encode()).decode()


def _others(run: Run) -> str:
    """Returns the overrides typed for a run, except for the choices that have a column."""
    return " ".join(typed for key, typed in run.typed.items() if key not in ("benchmark", "scenario", "method"))


def _details(run: Run) -> Mapping[str, str | None]:
    """Returns what is needed to reproduce a run, and what it cost, by name."""
    result = run.result
    return {
        "command": result.command,
        "folder": str(run.folder),
        "overrides": " ".join(result.overrides),
        "config id": result.config_id,
        "error": result.error,
        "tasks done": f"{len(result.scores)} of {result.num_tasks}",
        "data checksum": result.data.checksum,
        "git commit": result.git_commit,
        "versions": ", ".join(f"{name} {version}" for name, version in result.versions.items()),
        "device": run.value("device"),
        "wall time, s": run.value("wall_time_s"),
        "peak memory, MB": run.value("peak_memory_mb"),
        "trainable parameters": run.value("parameters.trainable"),
    }

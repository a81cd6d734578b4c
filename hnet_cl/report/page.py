"""One page with everything: tables, plots and every run. It needs no network and runs no script but its own."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import hnet_cl
from hnet_cl.records.metrics_table import METRICS, Quantity, compared
from hnet_cl.report.estimate import Estimate
from hnet_cl.report.figures import INK
from hnet_cl.report.grouping import Section
from hnet_cl.report.notes import Note, counted
from hnet_cl.report.runs import Run, one_line
from hnet_cl.report.selection import Selection
from hnet_cl.report.tables import Column, Table, cell_text, legend, measured

HERE = Path(__file__).parent
CAPTIONS = {
    "accuracy": "Mean accuracy over the tasks learned so far, with its standard error over seeds",
    "during_final": "Accuracy right after learning and after the last task, with its standard error over seeds",
    "forgetting": "Forgetting, with its standard error over seeds",
    "accuracy_matrix": "Accuracy matrices, mean over seeds",
}
SOUGHT = ("overrides", "config id", "error")  # the filter's words are looked for there and in a run's first line
LIGHT_AND_DARK = "<style>svg{color:#111}@media(prefers-color-scheme:dark){svg{color:#e4e7ea}}</style>"
TITLE = "<title>Runs of hnet_cl</title>"  # by which a page of ours is known


@dataclass(frozen=True)
class Part:
    """What the page shows of a section.

    Attributes:
        section: whose it is.
        tables: its tables.
        plots: its figures as svg files, by name.
    """

    section: Section
    tables: Sequence[Table]
    plots: Mapping[str, bytes]

    @property
    def title(self) -> str:
        """Its heading."""
        return self.section.title or "Comparison"


def page(parts: Sequence[Part], selection: Selection, notes: Sequence[Note], interval: bool, command: str) -> str:
    """The HTML.

    Args:
        parts: what to show of the finished runs.
        selection: all runs.
        notes: what tables do not show.
        interval: whether cells show confidence intervals.
        command: how the page was made.
    """
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"
    body = [_head([part.title for part in parts], len(selection.finished), notes)]
    body += [_section(number, part, interval) for number, part in enumerate(parts)]
    body += [_left_out(notes), _all_runs(selection.runs)]
    body.append(
        f"<footer>Made by <code>{escape(one_line(command))}</code>, hnet_cl {escape(hnet_cl.__version__)}</footer>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{TITLE}\n<style>\n{style}</style>\n"
        "<noscript><style>.detail[hidden] { display: table-row } .filter, .more { display: none }</style></noscript>\n"
        "</head>\n<body>\n" + "\n".join(body) + f"\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _head(titles: Sequence[str], finished: int, notes: Sequence[Note]) -> str:
    left_out = "".join(f" <span class='bad'>{escape(heading)}.</span>" for heading, _ in notes)
    names = [*titles, *(["Not shown"] if left_out else []), "All runs"]
    anchors = [*(f"section-{number}" for number in range(len(titles))), *(["left-out"] if left_out else []), "runs"]
    links = "".join(
        f'<li><a href="#{anchor}">{escape(name)}</a></li>' for anchor, name in zip(anchors, names, strict=True)
    )
    count = counted(finished, "finished")
    return f"<header><h1>Runs of hnet_cl</h1><p>{count}.{left_out}</p><nav><ul>{links}</ul></nav></header>"


def _section(number: int, part: Part, interval: bool) -> str:
    shown = "\n".join(_table(f"table-{number}-{i}", table, interval) for i, table in enumerate(part.tables))
    remarks = "".join(f"<li>{_breakable(remark)}</li>" for remark in part.section.remarks)
    pictures = "\n".join(_picture(CAPTIONS[name], svg) for name, svg in part.plots.items())
    return (
        f'<section id="section-{number}"><h2>{escape(part.title)}</h2>\n<p class="quiet">{legend(interval)}</p>\n'
        f'<div class="tables">\n{shown}\n</div>\n{f"<ul>{remarks}</ul>" if remarks else ""}\n{pictures}\n</section>'
    )


def _table(anchor: str, table: Table, interval: bool) -> str:
    first, *others = table.header
    header = _header(first, "word") + "".join(_header(name) for name in others)
    rows = []
    for row, cells in table.rows:
        shown = (
            _cell(measured(row, column), found, cell_text(found, column.quantity, interval))
            for found, column in zip(cells, table.columns, strict=True)
        )
        rows.append(f'<tr><th scope="row" class="word">{_breakable(row.label)}</th>{"".join(shown)}</tr>')
    return (
        f'<div><h3 id="{anchor}">{_heading(table.columns)}</h3><div class="scroll" tabindex="0">'
        f'<table aria-labelledby="{anchor}"><thead><tr>{header}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div></div>"
    )


def _breakable(label: str) -> str:
    """A label whose dotted keys may be broken after dots."""
    return re.sub(r"\.(?=[a-z_])", ".<wbr>", escape(label))


def _heading(columns: Iterable[Column]) -> str:
    shown = dict.fromkeys(column.quantity for column in columns)
    return ", ".join(
        f"{escape(quantity.title)} <span>{escape(quantity.described.removeprefix(quantity.title))}</span>"
        for quantity in shown
    )


def _header(name: str, kind: str = "") -> str:
    return f'<th scope="col" class="{kind}"><button type="button">{escape(name)}</button></th>'


def _cell(runs: Sequence[Run], found: Estimate | None, text: str) -> str:
    if found is None:
        return '<td data-value=""></td>'
    seeds = ", ".join(str(run.result.seed) for run in runs)
    mean, _, n = text.rpartition(" ")
    return (
        f'<td data-value="{found.mean!r}" title="seeds {seeds}">{escape(mean)} <span class="n">{escape(n)}</span></td>'
    )


def _picture(caption: str, svg: bytes) -> str:
    """A figure as an image of its own, in which no script can run; its ink is light on a dark page."""
    _, start, rest = svg.decode().partition("<svg")
    attributes, end, content = rest.partition(">")
    image = start + attributes + end + LIGHT_AND_DARK + content.replace(INK, "currentColor")
    data = base64.b64encode(image.encode()).decode()
    return (
        f'<figure><figcaption>{escape(caption)}</figcaption><div class="scroll" tabindex="0">'
        f'<img alt="{escape(caption)}" src="data:image/svg+xml;base64,{data}"></div></figure>'
    )


def _left_out(notes: Sequence[Note]) -> str:
    lists = "\n".join(
        f"<h3>{escape(heading)}</h3><ul>"
        + "".join(f"<li><code>{escape(folder)}</code>: {escape(text)}</li>" for folder, text in runs)
        + "</ul>"
        for heading, runs in notes
    )
    return f'<section id="left-out"><h2>Not shown</h2>\n{lists}\n</section>' if notes else ""


def _all_runs(runs: Sequence[Run]) -> str:
    shown = [METRICS[name] for name in compared() if any(name in run.metrics for run in runs)]
    words = ("status", "benchmark", "data", "scenario", "method", "other overrides")
    numbers = ("seed", *(metric.title for metric in shown), "training, s")
    header = "".join([*(_header(name, "word") for name in words), *(_header(name) for name in numbers)])
    bodies = "\n".join(_run(run, shown) for run in runs)
    units = ", ".join(f"{metric.title} in {metric.unit}" for metric in shown)
    return (
        '<section id="runs"><h2>All runs</h2>\n<div class="filter"><label for="filter">Filter</label>'
        '<input id="filter" type="search" placeholder="words, e.g. hnet cl1 seed=2" autocomplete="off">'
        f'<span id="shown" role="status" class="quiet">{len(runs)} of {len(runs)} runs</span></div>\n'
        f'<p class="quiet">{escape(units)}; incomplete and failed runs: over the tasks done</p>\n'
        f'<div class="scroll" tabindex="0"><table><thead><tr><td></td>{header}</tr></thead>\n{bodies}\n</table></div>\n'
        "</section>"
    )


def _run(run: Run, metrics: Sequence[Quantity]) -> str:
    """Two lines of the table: what runs are compared by, and all the rest, which a button shows."""
    result = run.result
    others = [typed for key, typed in run.typed.items() if key not in ("benchmark", "scenario", "method")]
    names = [result.benchmark, result.data.name, result.scenario, result.method]
    numbers = [run.metrics.get(metric.name) for metric in metrics]
    seconds = run.metrics.get("train_time_s")
    cells = [
        '<td><button type="button" class="more" aria-expanded="false">details</button></td>',
        f'<td class="word{"" if result.status == "finished" else " bad"}">{result.status}</td>',
        *(f'<td class="word">{escape(one_line(name))}</td>' for name in names),
        f'<td class="word overrides"><code>{escape(" ".join(others))}</code></td>',
        f"<td>{result.seed}</td>",
        *(
            f"<td>{'' if number is None else metric.shown(number)}</td>"
            for metric, number in zip(metrics, numbers, strict=True)
        ),
        f"<td>{'' if seconds is None else f'{seconds:.1f}'}</td>",
    ]
    return f"<tbody><tr>{''.join(cells)}</tr>\n{_detail(run, len(cells))}</tbody>"


def _detail(run: Run, columns: int) -> str:
    """The second line of a run: all that it takes to have it again."""
    result = run.result
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    entries = {
        "command": result.command,
        "folder": str(run.folder),
        "overrides": " ".join(result.overrides),
        "config id": result.config_id,
        "error": result.error,
        "tasks done": f"{len(result.accuracy_matrix)} of {result.num_tasks}",
        "data checksum": result.data.checksum,
        "git commit": result.git_commit,
        "versions": versions,
        "device": run.value("device"),
        "wall time, s": run.value("wall_time_s"),
        "peak memory, MB": run.value("peak_memory_mb"),
        "trainable parameters": run.value("parameters.trainable"),
    }
    shown = "".join(
        f"<dt>{escape(name)}</dt><dd{' class=sought' * (name in SOUGHT)}><code>{escape(one_line(value))}</code></dd>"
        for name, value in entries.items()
        if value
    )
    return f'<tr class="detail" hidden><td colspan="{columns}"><dl>{shown}</dl></td></tr>'

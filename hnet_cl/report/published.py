"""Published figures beside measured ones, with a verdict on each."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import csv_text
from hnet_cl.core.regular_files import parse_yaml
from hnet_cl.report.comparison import Comparison
from hnet_cl.report.estimate import Estimate
from hnet_cl.report.methods import named
from hnet_cl.report.runs import Run, one_line
from hnet_cl.report.tables import markdown_cell, markdown_lines, measured, ruled

AGREES = 2.0  # standard errors of the difference
ALIKE = ("benchmark", "scenario", "method", "seed", "device", "device.threads", "device.graph")  # typed for any setting
HEADER = ("benchmark", "scenario", "method", "measured", "published", "difference", "verdict", "source")


@dataclass(frozen=True)
class Figure:
    """A published mean over `n` seeds and its standard error, in %; the error is None where none is published."""

    mean: float
    sem: float | None
    n: int
    source: str


@dataclass(frozen=True)
class Publications:
    """The published ACC of one benchmark, by scenario and method, after so many tasks on the data of this name."""

    data: str
    tasks: int
    figures: Mapping[tuple[str, str], Figure]


def read_published(folder: Path) -> dict[str, Publications]:
    """Reads the published figures of all benchmarks from the yaml files in a folder, which are named after them."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.yaml"))}


def _read(path: Path) -> Publications:
    content = parse_yaml(path.read_bytes())
    figures = {}
    for source in content["sources"]:
        for scenario, by_method in source["acc"].items():
            for method, (mean, *sem) in by_method.items():
                figures[scenario, method] = Figure(mean, sem[0] if sem else None, source["seeds"], source["name"])
    return Publications(content["data"], content["tasks"], figures)


def verdict(found: Estimate, figure: Figure) -> str:
    """Says whether a measured mean in % agrees with a published one: within two standard errors of their difference."""
    if found.sem is None:
        return "one seed, so no verdict"
    if figure.sem is None:
        return "no verdict, as no error is published"
    error = math.hypot(found.sem, figure.sem)
    difference = abs(found.mean - figure.mean)
    errors = difference / error if error else math.inf if difference else 0.0
    return f"{'agrees' if errors <= AGREES else 'differs'} ({errors:.1f} standard errors)"


def beside_published(compared: Comparison, published: Mapping[str, Publications], form: str) -> str:
    """Returns a table of all measured ACC of which figures are published, as text, Markdown or CSV.

    Raises:
        UserError: there are none, or the format is another one.
    """
    formats = {"text": _text, "markdown": _markdown, "csv": csv_text}
    if form not in formats:
        raise UserError(f"--published: has no --format {form}; give one of {', '.join(formats)}")
    rows = list(_rows(compared, published))
    if not rows:
        known = {name: sorted({method for _, method in one.figures}) for name, one in published.items()}
        there = "; ".join(f"{name} with {', '.join(methods)}" for name, methods in known.items())
        raise UserError(f"--published: there are no published figures for these runs; there are some for {there}")
    return formats[form]([HEADER, *rows])


def _rows(compared: Comparison, published: Mapping[str, Publications]) -> Iterator[Sequence[str]]:
    for table in compared.tables:
        for row, cells in table.rows:
            for found, column in zip(cells, table.columns, strict=True):
                if found is not None and column.quantity.name == "acc":
                    yield from _row(found, measured(row, column), row.settings, published)


def _row(
    found: Estimate, runs: Sequence[Run], settings: str, published: Mapping[str, Publications]
) -> Iterator[Sequence[str]]:
    result = runs[0].result
    known = published.get(result.benchmark)
    figure = known.figures.get((result.scenario, result.method)) if known else None
    if known is None or figure is None:
        return
    percent = Estimate(found.n, 100 * found.mean, None if found.sem is None else 100 * found.sem)
    reason = _not_comparable(runs, settings, known)
    cells = (
        result.benchmark,
        named("scenario", result.scenario),
        named("method", result.method),
        _shown(percent.mean, percent.sem, percent.n),
        _shown(figure.mean, figure.sem, figure.n),
        f"{percent.mean - figure.mean:+.2f}",
        f"not comparable: {reason}" if reason else verdict(percent, figure),
        figure.source,
    )
    yield [one_line(cell) for cell in cells]


def _not_comparable(runs: Sequence[Run], settings: str, known: Publications) -> str:
    """Tells why runs are not of the published setting: other data, tasks or settings typed; empty if they are."""
    other = {f"data {run.result.data.name}" for run in runs if run.result.data.name != known.data}
    other |= {f"{run.result.num_tasks} tasks" for run in runs if run.result.num_tasks != known.tasks}
    typed = {word for run in runs for key, word in run.typed.items() if key not in ALIKE}
    return ", ".join([*sorted(other), *sorted(typed)]) or settings


def _shown(mean: float, sem: float | None, n: int) -> str:
    return f"{mean:.2f} ± {sem:.2f} ({n})" if sem is not None else f"{mean:.2f} ({n})"


def _numbered(rows: Sequence[Sequence[str]]) -> tuple[list[Sequence[str]], list[str]]:
    """Replaces sources, the last cells below the header, by numbers; returns the rows and a line for each source."""
    header, *body = rows
    sources = list(dict.fromkeys(row[-1] for row in body))
    numbered = [[*row[:-1], f"[{sources.index(row[-1]) + 1}]"] for row in body]
    return [header, *numbered], [f"[{number}] {source}" for number, source in enumerate(sources, 1)]


def _text(rows: Sequence[Sequence[str]]) -> str:
    numbered, sources = _numbered(rows)
    return "\n".join([*ruled(numbered), "", *sources]) + "\n"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    cells = [[markdown_cell(cell) for cell in row] for row in rows]
    return "\n".join(markdown_lines(cells, ["---"] * len(HEADER))) + "\n"

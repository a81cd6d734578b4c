"""Tables as plain text, Markdown, LaTeX and CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from hnet_cl.core.plain_text import aligned, csv_text
from hnet_cl.records.metrics_table import Quantity
from hnet_cl.report.best import best
from hnet_cl.report.estimate import Estimate, estimate
from hnet_cl.report.grouping import Layout, Row, Section, Values
from hnet_cl.report.labels import joined
from hnet_cl.report.runs import Run

NOTHING = "no finished run"


@dataclass(frozen=True)
class Column:
    """One column: values of the column keys, and the quantity that it shows."""

    values: Values
    quantity: Quantity


@dataclass(frozen=True)
class Table:
    """One quantity of one section, or several side by side.

    Attributes:
        section: the section that it shows.
        layout: keys of rows and columns.
        columns: the columns, from left to right.
        rows: each row with at least one estimate, and its estimate for each column; None where no run has a value.
    """

    section: Section
    layout: Layout
    columns: Sequence[Column]
    rows: Sequence[tuple[Row, Sequence[Estimate | None]]]

    @property
    def bold(self) -> list[list[bool]]:
        """Tells of each cell whether it is printed in bold, by row."""
        rows, cells = [row for row, _ in self.rows], [own for _, own in self.rows]
        by_column = [
            best(rows, [own[number] for own in cells], column.quantity.name)
            for number, column in enumerate(self.columns)
        ]
        return [[column[number] for column in by_column] for number in range(len(rows))]

    @property
    def title(self) -> str:
        """Returns the section's title and the quantities shown, with their units."""
        shown = list(dict.fromkeys(column.quantity for column in self.columns))
        names = shown[0].described if len(shown) == 1 else ", ".join(quantity.with_unit for quantity in shown)
        return f"{self.section.title}: {names}" if self.section.title else names

    @property
    def header(self) -> list[str]:
        """Returns the header: the names of the row keys, then one name per column."""
        return self._header([", ".join(column.values) for column in self.columns])

    @property
    def titles(self) -> list[str]:
        """Returns the header as a paper would write it."""
        return self._header([self.section.column_title(column.values) for column in self.columns])

    def _header(self, names: Sequence[str]) -> list[str]:
        several = len({column.quantity for column in self.columns}) > 1
        shown = [
            joined(name, column.quantity.title if several or not name else "")
            for name, column in zip(names, self.columns, strict=True)
        ]
        return [", ".join(self.layout.rows) or "runs", *shown]


def tables(sections: Sequence[Section], quantities: Sequence[Quantity], layout: Layout) -> list[Table]:
    """Makes the tables of each section: one for each quantity that any of its runs has, or all side by side."""
    parts = [quantities] if layout.side_by_side else [[quantity] for quantity in quantities]
    made = (_table(section, part, layout) for section in sections for part in parts)
    return [table for table in made if table.rows]


def _table(section: Section, quantities: Sequence[Quantity], layout: Layout) -> Table:
    columns = [
        Column(values, quantity)
        for values in section.columns
        for quantity in quantities
        if any(_cell(row, Column(values, quantity)) for row in section.rows)
    ]
    rows = [(row, [_cell(row, column) for column in columns]) for row in section.rows]
    return Table(section, layout, columns, [(row, cells) for row, cells in rows if any(cells)])


def _cell(row: Row, column: Column) -> Estimate | None:
    values = [run.metrics[column.quantity.name] for run in measured(row, column)]
    return estimate(values) if values else None


def measured(row: Row, column: Column) -> list[Run]:
    """Returns the runs whose mean a cell shows."""
    return [run for run in row.cells.get(column.values, ()) if column.quantity.name in run.metrics]


def legend(interval: bool) -> str:
    """Describes the numbers in a cell; `interval` as in `cell_text`."""
    return f"{'mean [95 % confidence interval]' if interval else 'mean ± standard error'} (number of seeds)"


def cell_text(found: Estimate | None, quantity: Quantity, interval: bool, plus_minus: str = "±") -> str:
    """Formats a cell: mean, uncertainty and n, such as "97.10 ± 0.12 (5)"; empty for None.

    Args:
        found: the estimate.
        quantity: what was estimated; decides on unit and decimals.
        interval: whether to show the confidence interval instead of the standard error.
        plus_minus: the sign before the standard error.
    """
    if found is None:
        return ""
    mean, uncertainty = quantity.shown(found.mean), ""
    if interval and found.interval is not None:
        low, high = (quantity.shown(end) for end in found.interval)
        uncertainty = f" [{low}, {high}]"
    elif found.sem is not None:
        uncertainty = f" {plus_minus} {quantity.shown_width(found.sem, found.mean)}"
    return f"{mean}{uncertainty} ({found.n})"


def _cells_text(table: Table, cells: Sequence[Estimate | None], interval: bool) -> list[str]:
    return [cell_text(found, column.quantity, interval) for found, column in zip(cells, table.columns, strict=True)]


def text(tables: Sequence[Table], interval: bool, notes: Sequence[str]) -> str:
    """Formats all tables and notes as plain text for a terminal; lines are not wrapped."""
    parts = []
    for table in tables:
        rows = [table.header, *([row.label, *_cells_text(table, cells, interval)] for row, cells in table.rows)]
        parts.append("\n".join([table.title, "", *ruled(rows)]))
        parts += ["", *table.section.remarks, ""] if table.section.remarks else [""]
    parts.append(legend(interval) if tables else NOTHING)
    return "\n".join([*parts, *([""] if notes else []), *notes]) + "\n"


def ruled(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a table for a terminal, with a rule below the first row, the header."""
    header, *others = aligned(rows)
    return [header, "─" * max(map(len, (header, *others))), *others]


def markdown_lines(rows: Sequence[Sequence[str]], rule: Sequence[str]) -> list[str]:
    """Returns the lines of a Markdown table of cells that are Markdown; `rule` follows the first row, the header."""
    header, *others = rows
    return [f"| {' | '.join(row)} |" for row in (header, rule, *others)]


def markdown(tables: Sequence[Table], interval: bool, notes: Sequence[str]) -> str:
    """Formats all tables and notes in GitHub-style Markdown."""
    parts = []
    for table in tables:
        header = [markdown_cell(name) for name in table.titles]
        body = [
            [markdown_cell(row.title), *map(_bold_cell, _cells_text(table, cells, interval), bold)]
            for (row, cells), bold in zip(table.rows, table.bold, strict=True)
        ]
        rule = ["---"] + ["---:"] * (len(header) - 1)
        parts.append(f"**{markdown_cell(table.title)}**\n\n" + "\n".join(markdown_lines([header, *body], rule)))
        if table.section.remarks:
            parts.append("\n".join(f"- {markdown_cell(remark)}" for remark in table.section.remarks))
    parts.append(legend(interval) if tables else NOTHING)
    if notes:
        parts.append("\n".join(markdown_cell(line.replace("  ", "- ", 1)) for line in notes))
    return "\n\n".join(parts) + "\n"


def _bold_cell(cell: str, bold: bool) -> str:
    mean, _, n = markdown_cell(cell).rpartition(" ")
    return f"**{mean}** {n}" if bold else markdown_cell(cell)


def markdown_cell(cell: str) -> str:
    """Escapes a text so that Markdown shows it literally."""
    return "".join(f"\\{char}" if char in "\\`*|<[" else char for char in cell)


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
} | {char: f"\\{char}" for char in "&%$#_{}"}
LAST_KNOWN = "\N{LATIN SMALL LETTER LONG S}"  # beyond the Latin letters, pdflatex stops at characters unknown to it


def escape_latex(plain: str) -> str:
    """Escapes a text so that LaTeX prints it literally; characters that pdflatex does not know become "?"."""
    return "".join(LATEX.get(char, char if char <= LAST_KNOWN else "?") for char in plain)


def latex(tables: Sequence[Table], interval: bool, notes: Sequence[str]) -> str:
    r"""Formats all tables as `table` environments, notes as comments; the preamble needs \usepackage{booktabs}."""
    remarks = [r"needs \usepackage{booktabs}", *([] if tables else [NOTHING]), *notes]
    parts = ["\n".join(f"% {remark}" for remark in remarks)]
    for table in tables:
        body = [
            [escape_latex(row.title), *map(partial(_latex_cell, interval), cells, table.columns, bold)]
            for (row, cells), bold in zip(table.rows, table.bold, strict=True)
        ]
        header = [escape_latex(name) for name in table.titles]
        lines = [" & ".join(row) + r" \\" for row in (header, *body)]
        caption = escape_latex(f"{table.title}; {legend(interval)}")
        parts.append(
            "\n".join(
                [
                    r"\begin{table}",
                    r"\centering",
                    rf"\caption{{{caption}}}",
                    rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
                    r"\toprule",
                    lines[0],
                    r"\midrule",
                    *lines[1:],
                    r"\bottomrule",
                    r"\end{tabular}",
                    *(rf"\par\footnotesize {escape_latex(remark)}" for remark in table.section.remarks),
                    r"\end{table}",
                ]
            )
        )
    return "\n\n".join(parts) + "\n"


def _latex_cell(interval: bool, found: Estimate | None, column: Column, bold: bool) -> str:
    mean, _, n = cell_text(found, column.quantity, interval, r"\pm").rpartition(" ")
    number = rf"\boldmath${mean}$" if bold else f"${mean}$"
    return f"{number} {n}" if mean else ""


def to_csv(tables: Sequence[Table], interval: bool, notes: Sequence[str]) -> str:
    """Formats all tables as CSV: one line per cell, in full precision; metrics are fractions.

    `interval` and `notes` are not used: every line has both standard error and confidence interval.
    """
    header, lines = cells(tables)
    return csv_text([header, *lines])


def cells(tables: Sequence[Table]) -> tuple[list[str], list[list[object]]]:
    """Returns the names of the columns, and one line for each cell of all tables.

    Every key in which runs of one table differ has a column.
    """
    keys = [*tables[0].section.keys, *tables[0].layout.rows, *tables[0].layout.columns] if tables else []
    differing = [*dict.fromkeys(key for table in tables for key in table.section.differing)]
    numbers = ["n", "mean", "sem", "ci95_low", "ci95_high", "seeds", "config_ids"]
    header = [*keys, "settings", *differing, "metric", *numbers]
    return header, [line for table in tables for line in _lines(table, differing)]


def _lines(table: Table, differing: Sequence[str]) -> Iterator[list[object]]:
    for row, cells in table.rows:
        for column, found in zip(table.columns, cells, strict=True):
            if found is not None:
                runs = measured(row, column)
                seeds = " ".join(str(run.result.seed) for run in runs)
                ids = " ".join(dict.fromkeys(run.result.config_id for run in runs))
                theirs = [_values(key, runs) for key in differing]
                keys = [*table.section.values, *row.values, *column.values, row.settings, *theirs, column.quantity.name]
                yield [*keys, found.n, found.mean, found.sem, *(found.interval or (None, None)), seeds, ids]


def _values(key: str, runs: Sequence[Run]) -> str:
    """Joins the values of a key over runs, each value once."""
    return "; ".join(dict.fromkeys(value for run in runs if (value := run.value(key)) is not None))

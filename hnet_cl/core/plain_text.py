"""Text that is safe to show in terminals and spreadsheets, which interpret some characters as commands."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

LONG = 200  # characters of a value that are shown in a line
# Unicode categories: control characters, formatting such as text direction, surrogates, line and paragraph separators.
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
# The last four are the full-width forms of the first four.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# A single dash, which stands for a missing value, counts as a number.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)|-", re.ASCII | re.IGNORECASE)


def printable(text: str) -> str:
    r"""Returns the text in one line; control and other unprintable characters are escaped as in Python, e.g. `\n`."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNSEEN else char for char in text
    )


def shown(value: object, longest: int = LONG) -> str:
    """Returns a value as one line of `printable` text, with null, true and false as in YAML.

    Of text that is longer than `longest`, beginning and end are returned.
    """
    words: dict[object, str] = {None: "null", True: "true", False: "false"}
    text = printable(words[value] if value is None or isinstance(value, bool) else str(value))
    return text if len(text) <= longest else f"{text[: longest // 2]}[...]{text[-longest // 4 :]}"


def duration(seconds: float) -> str:
    """Returns a duration as `1.3 s`, `36 s`, `2 min 5 s` or `1 h 2 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def aligned(rows: Sequence[Sequence[str]], place: Callable[[str, int], str] = str.ljust) -> list[str]:
    """Returns a line for each row, with cells brought to the width of their column; all rows have as many."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(place, row, widths)).rstrip() for row in rows]


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Returns rows as CSV, one line per row.

    Text is made `printable`; an apostrophe is prepended where a spreadsheet would take it for a formula.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(_cell, row) for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    formula = value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
    return "'" * formula + printable(value)

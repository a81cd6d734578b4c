"""Text that terminals and spreadsheets show and do nothing else with."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence

LONG = 200  # characters of a value that a line shows
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, marks such as those of direction, half characters, line breaks
# The last four are the wide forms of the first four.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# A dash alone stands for nothing.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)|-", re.ASCII | re.IGNORECASE)


def printable(text: str) -> str:
    r"""Returns the text in one line, with what a terminal would obey or cannot show written as in Python, e.g. `\n`."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNSEEN else char for char in text
    )


def shown(value: object) -> str:
    """Shows a value in one line, in the words of YAML: `printable`, and cut if it is long."""
    words: dict[object, str] = {None: "null", True: "true", False: "false"}
    text = printable(words[value] if value is None or isinstance(value, bool) else str(value))
    return text if len(text) <= LONG else f"{text[: LONG // 2]}[...]{text[-LONG // 4 :]}"


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as lines of CSV, one for each.

    Text is `printable`, and where a spreadsheet would take it for a formula it begins with an apostrophe.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(_cell, row) for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    formula = value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
    return "'" * formula + printable(value)

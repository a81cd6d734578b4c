"""What terminals and spreadsheets are given is text and nothing else."""

import csv
import io

import pytest

from hnet_cl.core.plain_text import csv_text, duration, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("día 1/ß 😀\u202f.png", "día 1/ß 😀\u202f.png"),
        ("a\nb\r\tc\x0b", r"a\nb\r\tc\x0b"),
        ("\x1b[31mred\x9b0m\x7f", r"\x1b[31mred\x9b0m\x7f"),
        ("\u202egnp.exe\u2028", r"\u202egnp.exe\u2028"),
        ("\udcff.png", r"\udcff.png"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def read_back(*row: object) -> list[str]:
    text = csv_text([row])
    (found,) = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert text.endswith("\n") and text.count("\n") == 1
    return found


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_formulas_become_text(start: str) -> None:
    cell = f'{start}cmd|" /C calc"!A0'
    assert read_back(cell, "x") == ["'" + printable(cell), "x"]
    assert read_back(f"a{cell}") == ["a" + printable(cell)]


@pytest.mark.parametrize("number", ["-1", "+0.5", "-1.", "-.5", "-1e-05", "-1E+3", "-inf", "-nan", "-"])
def test_numbers_stay_numbers(number: str) -> None:
    assert read_back(number) == [number]


@pytest.mark.parametrize("formula", ["-1+1", "-1-cmd", "+1;=2", "--1", "-=", "-1e", "-\u0661", "-1 "])
def test_what_only_begins_as_a_number_is_text(formula: str) -> None:
    assert read_back(formula) == ["'" + formula]


def test_other_cells_are_as_python_writes_them() -> None:
    assert read_back(-3, -0.1, None, "a,b", 'say "x"', "", "it's") == ["-3", "-0.1", "", "a,b", 'say "x"', "", "it's"]
    assert read_back(None) == [""]
    assert csv_text([]) == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599.6, "1 h 0 min"),
        (3661, "1 h 1 min"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown

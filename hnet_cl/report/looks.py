"""How the rows of a report look in figures: a method has its colour, its marker and its dashes everywhere.

Colour is never the only cue. Bounds are grey and dashed. Colours are those of Okabe & Ito 2008, "Color Universal
Design", without the yellow that fades on white.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hnet_cl.report.grouping import Row

INK = "#111111"  # text and axes; unlike every other colour, so that a dark page can replace it
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
GREY = "#777777"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)
Dash = str | tuple[int, tuple[float, ...]]
DASHES: tuple[Dash, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (1, 1)))
MARKERS = "os^Dv*X"
TOGETHER = len(COLOURS)  # rows that can be told apart in one panel


@dataclass(frozen=True)
class Look:
    """Colour, marker and dashes of a curve."""

    colour: str
    marker: str
    dash: Dash


SOLID = "-"
METHODS = {
    "hnet": Look(BLUE, "o", SOLID),
    "hnet_ent": Look(SKY, "s", SOLID),
    "hnet_tir": Look(GREEN, "^", SOLID),
    "hnet_r": Look(PURPLE, "D", SOLID),
    "ewc": Look(VERMILION, "s", DASHES[4]),
    "er": Look(ORANGE, "v", DASHES[5]),
    "dgr": Look(INK, "P", DASHES[2]),
    "si": Look(ORANGE, "X", DASHES[2]),
    "ewc_offline": Look(VERMILION, "d", DASHES[2]),
    "derpp": Look(BLUE, "*", DASHES[4]),
    "agem": Look(SKY, "h", DASHES[5]),
    "lwf": Look(PURPLE, "<", DASHES[4]),
    "mas": Look(GREEN, ">", DASHES[2]),
    "finetune": Look(GREY, "v", "--"),
    "joint": Look(GREY, "^", (0, (6, 2))),
    "scratch": Look(GREY, "x", ":"),
}


def looks(rows: Sequence[Row]) -> list[Look]:
    """Returns a look for each row of a panel, at most `TOGETHER`.

    The first row of a method that is known has the look of the method; the others have looks whose colours are free.
    """
    own = [METHODS.get(_method(row)) for row in rows]
    first = [look if look not in own[:number] else None for number, look in enumerate(own)]
    taken = {look.colour for look in first if look is not None}
    numbers = sorted(range(TOGETHER), key=lambda number: COLOURS[number] in taken)  # colours that are free come first
    free = (Look(COLOURS[number], MARKERS[number], DASHES[number]) for number in numbers)
    return [look or next(free) for look in first]


def _method(row: Row) -> str:
    """Returns the method of a row's runs; empty if there are several."""
    methods = {run.result.method for runs in row.cells.values() for run in runs}
    return methods.pop() if len(methods) == 1 else ""

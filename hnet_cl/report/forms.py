"""Forms of figures: how wide they are and how large their text is. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Any

from hnet_cl.report.looks import INK

USUAL_FONT = 9.0  # points, to which the lengths of figures belong
WIDTHS = {"column": 3.25, "page": 6.75}  # inches (those of ICML)
FONTS = {"paper": 8.0, "talk": 14.0}  # points
STYLE: Any = {
    "legend.frameon": False,
    "legend.handlelength": 3.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a $ in a name does not start a formula
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "svg.fonttype": "none",  # real text
    "svg.hashsalt": "hnet_cl",  # the same figure gives the same file
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


@dataclass(frozen=True)
class Form:
    """The form of figures.

    Attributes:
        width: name of the width of a figure, a key of `WIDTHS`; None: as wide as its panels need.
        style: name of the size of text, a key of `FONTS`; None: that of a page on the screen.
        stretch: factor of the width of panels.
    """

    width: str | None = None
    style: str | None = None
    stretch: float = 1.0

    @property
    def text(self) -> float:
        """Returns the size of text relative to the usual one."""
        return FONTS.get(self.style or "", USUAL_FONT) / USUAL_FONT

    @property
    def settings(self) -> Any:
        """Returns matplotlib's settings."""
        return {**STYLE, "font.size": USUAL_FONT * self.text}


FORM = Form()  # the usual one

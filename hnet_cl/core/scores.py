"""The scores that predictions are judged by: their names, and how they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Score:
    """A number that says how well a task is known; the matrix of a run holds one for each task after each task.

    Attributes:
        name: its name in result.json, whose key `<name>_matrix` holds the matrix.
        title: its name within a sentence.
        kind: of the tasks that it is for.
        main: the metric that is the mean over tasks after the last one; a key of `metrics` in result.json.
        during: the metric that is the mean right after learning.
        loss: the metric that says how much was lost in between.
        higher_is_better: whether the best is 1 and numbers are fractions, shown in per cent; else the best is 0.
    """

    name: str
    title: str
    kind: Kind
    main: str
    during: str
    loss: str
    higher_is_better: bool

    @property
    def matrix(self) -> str:
        """Returns the key of the matrix in result.json, and the name of its files."""
        return f"{self.name}_matrix"

    @property
    def unit(self) -> str:
        """Returns the unit in which it is shown, % or none."""
        return "%" if self.higher_is_better else ""

    def shown(self, value: float) -> str:
        """Returns the value as a short text, in the unit."""
        return f"{100 * value:.1f}" if self.higher_is_better else f"{value:.3g}"


def _error(name: str, title: str) -> Score:
    return Score(name, title, "regression", name, "error_during", "error_growth", higher_is_better=False)


ACCURACY = Score("accuracy", "accuracy", "classification", "acc", "during", "forgetting", higher_is_better=True)
MSE = _error("mse", "MSE")
NMSE = _error("nmse", "NMSE")
SCORES: Mapping[str, Score] = {score.name: score for score in (ACCURACY, MSE, NMSE)}

"""What can be compared: names, titles and units of metrics and of everything else that is a number."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hnet_cl.core.errors import UserError
from hnet_cl.core.suggest import nearest
from hnet_cl.report.runs import Run


@dataclass(frozen=True)
class Quantity:
    """A number that runs have.

    Attributes:
        name: under which `Run.metrics` has it.
        title: what people call it.
        meaning: what it is, in a few words.
        unit: of the numbers as they are shown; % for shares, points for differences of shares.
    """

    name: str
    title: str
    meaning: str
    unit: str

    @property
    def with_unit(self) -> str:
        """Title and unit."""
        return self.title + self._in_unit

    @property
    def described(self) -> str:
        """Title, meaning and unit."""
        return (f"{self.title} ({self.meaning})" if self.meaning else self.title) + self._in_unit

    @property
    def _in_unit(self) -> str:
        return f" in {self.unit}" if self.unit else ""

    def shown(self, value: float) -> str:
        """The value in its unit, without the unit."""
        if self.unit == "points":
            return f"{round(100 * value, 2) + 0.0:+.2f}"  # no -0.00
        return f"{100 * value:.2f}" if self.unit == "%" else f"{value:.{self._decimals(value)}f}"

    def shown_width(self, value: float, of: float) -> str:
        """A standard error in the unit, as fine as the mean `of`."""
        return f"{100 * value:.2f}" if self.unit else f"{value:.{self._decimals(of)}f}"

    def _decimals(self, value: float) -> int:
        return next((digits for digits, bound in ((0, 1000), (1, 100), (2, 1)) if abs(value) >= bound), 4)


METRICS = {
    quantity.name: quantity
    for quantity in (
        Quantity("acc", "ACC", "mean accuracy after the last task", "%"),
        Quantity("during", "during", "mean accuracy right after learning", "%"),
        Quantity("bwt", "BWT", "backward transfer", "points"),
        Quantity("forgetting", "forgetting", "best before the end, minus end", "points"),
        Quantity("transfer", "transfer", "during, minus the same from scratch", "points"),
        Quantity("task_inference", "task inference", "right task found", "%"),
        Quantity("majority", "majority", "accuracy of always the most frequent label", "%"),
    )
}
NEEDS = {
    "bwt": "defined from two tasks on",
    "forgetting": "defined from two tasks on",
    "transfer": "defined beside a run from scratch with the same tasks, seed, target, training and precision",
    "task_inference": "measured for methods that infer the task",
}
COMPARED = tuple(name for name in METRICS if name != "majority")  # what a full report compares


def quantities(
    names: Sequence[str] | None, usual: Sequence[str], runs: Iterable[Run], cures: Mapping[str, str]
) -> list[Quantity]:
    """The quantities of these names, or without names the `usual` metrics.

    Args:
        names: of metrics, or of anything that is a number; None: the usual ones.
        usual: names of metrics.
        runs: finished ones.
        cures: for metrics that no run may have, what to do.

    Raises:
        UserError: no run has a number of one of the names.
    """
    if names is None:
        return [METRICS[name] for name in usual]
    known = {name for run in runs for name in run.metrics}
    for name in names:
        if known and name not in known:
            reason = f"; it is {NEEDS[name]}" if name in NEEDS else nearest(name, sorted(known))
            reason += f": {cures[name]}" if name in cures else ""
            raise UserError(f"--metric {name}: no finished run has it{reason}")
    return [METRICS.get(name, Quantity(name, name, "", "")) for name in names]

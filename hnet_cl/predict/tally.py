"""Accuracy, calibration and confusions of answers to test examples."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hnet_cl.core.plain_text import aligned, printable

BINS = 15  # of the calibration error (Guo et al., ICML 2017, section 2)
IN_FULL = 20  # classes; with more, only the most frequent confusions are printed
MOST_FREQUENT = 10


@dataclass
class Tally:
    """Counts of answers to test examples.

    Attributes:
        right: number of right answers by task.
        number: number of answers by task.
        confused: number of answers by right and given label.
        sure: confidences of answers, in batches, where the method gives any.
        correct: whether these answers are right.
        found: number of answers whose inferred task is right, by task; empty where no task is inferred.
    """

    right: Counter[int] = field(default_factory=Counter)
    number: Counter[int] = field(default_factory=Counter)
    confused: Counter[tuple[str, str]] = field(default_factory=Counter)
    sure: list[Tensor] = field(default_factory=list)
    correct: list[Tensor] = field(default_factory=list)
    found: Counter[int] = field(default_factory=Counter)

    def add(self, task: int, correct: Tensor, labels: Iterable[tuple[str, str]], confidence: Tensor | None) -> None:
        """Counts answers to b examples of `task`: `correct` (b,), right and given labels, `confidence` (b,)."""
        self.right[task] += int(correct.sum())
        self.number[task] += len(correct)
        self.confused.update(labels)
        if confidence is not None:
            self.sure.append(confidence.cpu())
            self.correct.append(correct.cpu())

    def add_tasks(self, task: int, inferred: Tensor) -> None:
        """Counts the tasks (b,), from 0, that were inferred for b examples of `task`."""
        self.found[task] += int((inferred == task).sum())

    @property
    def calibration_error(self) -> float | None:
        """Computes the expected calibration error, a fraction (Guo et al., ICML 2017, Eq. 3); None without confidences.

        Confidences are put into 15 bins of equal width; the error is the mean distance between confidence and accuracy
        over the bins, weighted with the number of answers in each.
        """
        if not self.sure:
            return None
        sure, correct = torch.cat(self.sure).double(), torch.cat(self.correct).double()
        place = (sure * BINS).ceil().clamp(1, BINS).long() - 1
        gap = torch.zeros(BINS, dtype=torch.float64).index_add_(0, place, correct - sure)
        return float(gap.abs().sum() / len(sure))

    def lines(self) -> list[str]:
        """Describes the answers: accuracy of each task, their mean, calibration error and confused classes."""
        if not self.number:
            return []
        shares = {task: self.right[task] / self.number[task] for task in sorted(self.number)}
        lines = [f"task {task + 1}: {share:.2%} of {self.number[task]} right" for task, share in shares.items()]
        if len(shares) > 1:
            lines.append(f"mean over {len(shares)} tasks: {sum(shares.values()) / len(shares):.2%}")
        if self.found:
            share = sum(self.found[task] / self.number[task] for task in shares) / len(shares)
            lines.append(f"task inference: {share:.2%} of the tasks found")
        if (error := self.calibration_error) is not None:
            lines.append(f"expected calibration error ({BINS} bins): {error:.2%}")
        return [*lines, "", *self._confusions()]

    def _confusions(self) -> list[str]:
        names = sorted({name for pair in self.confused for name in pair}, key=_natural)
        shown = {name: printable(name) for name in names}  # they may be a stranger's
        if len(names) <= IN_FULL:
            body = [[shown[true], *(str(self.confused[true, given]) for given in names)] for true in names]
            lines = aligned([["", *shown.values()], *body], str.rjust)
            return ["answers by right class (rows) and given class (columns)", *lines]
        wrong = Counter({pair: count for pair, count in self.confused.items() if pair[0] != pair[1]}).most_common()
        most = [f"{count}: {shown[true]} taken for {shown[given]}" for (true, given), count in wrong[:MOST_FREQUENT]]
        return [f"the most frequent confusions of {len(names)} classes", *most]


def _natural(name: str) -> tuple[bool, int, str]:
    """Returns a sort key that puts numbers in their order, before words."""
    return (False, int(name), name) if name.isdecimal() and len(name) < 10 else (True, 0, name)

"""What an accuracy matrix says about continual learning, each number under the name of its formula.

An accuracy matrix R is a list of rows: `R[i][j]` is the test accuracy (a fraction) on task j after learning
task i, both counted from 0; entries of tasks not yet learned (j > i) are None and never read. Row i is there
once task i is finished, so an unfinished run is measured over the n = len(R) tasks it has finished.

Libraries disagree on what "forgetting" and "BWT" mean. The definitions used here are those of the papers
named in each function.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean

Matrix = Sequence[Sequence[float | None]]
LEVEL = 0.95  # of the interval around an accuracy


@dataclass(frozen=True)
class TestSetFacts:
    """What the accuracies of a benchmark have to be measured against.

    Attributes:
        majority: (T,) per task, test accuracy of always answering its most frequent training label.
        examples: (T,) number of independent test examples that ACC rests on after each number of tasks.
    """

    majority: Sequence[float]
    examples: Sequence[float]


def _seen(matrix: Matrix) -> list[list[float]]:
    """The lower triangle: row i holds the accuracies on tasks 0..i after task i.

    Raises:
        ValueError: a finished task has no accuracy.
    """
    rows = []
    for i, row in enumerate(matrix):
        seen = [value for value in row[: i + 1] if value is not None]
        if len(seen) != i + 1:
            raise ValueError(f"row {i} of the accuracy matrix needs an accuracy for each task 0..{i}: {row}")
        rows.append(seen)
    return rows


def acc(matrix: Matrix) -> float | None:
    """Average accuracy after the last finished task: ACC = 1/n sum_j R[n-1][j]; None before the first.

    Lopez-Paz & Ranzato 2017, "Gradient Episodic Memory for Continual Learning" (GEM).
    """
    rows = _seen(matrix)
    return fmean(rows[-1]) if rows else None


def during(matrix: Matrix) -> float | None:
    """Average accuracy on each task right after learning it: 1/n sum_j R[j][j]; None before the first.

    The "during" accuracy of von Oswald et al. 2020, "Continual learning with hypernetworks".
    """
    rows = _seen(matrix)
    return fmean(row[-1] for row in rows) if rows else None


def bwt(matrix: Matrix) -> float | None:
    """Backward transfer: 1/(n-1) sum_{j<n-1} (R[n-1][j] - R[j][j]); negative when tasks were forgotten.

    Lopez-Paz & Ranzato 2017 (GEM): the last row only, not an average over rows. None with fewer than 2 tasks.
    """
    rows = _seen(matrix)
    if len(rows) < 2:
        return None
    return fmean(rows[-1][j] - row[j] for j, row in enumerate(rows[:-1]))


def forgetting(matrix: Matrix) -> float | None:
    """Forgetting: 1/(n-1) sum_{j<n-1} (max_{j<=l<n-1} R[l][j] - R[n-1][j]); may be negative.

    Chaudhry et al. 2018, "Riemannian Walk for Incremental Learning": the maximum is over the rows *before*
    the last. None with fewer than 2 tasks.
    """
    rows = _seen(matrix)
    if len(rows) < 2:
        return None
    last, before = rows[-1], rows[:-1]
    return fmean(max(row[j] for row in before[j:]) - last[j] for j in range(len(before)))


def transfer(matrix: Matrix, scratch_matrix: Matrix) -> float | None:
    """Gain over training from scratch: 1/n sum_j (R[j][j] - S[j][j]), over the tasks both have finished.

    S is the matrix of a run with a separate fresh network per task (von Oswald et al. 2020 compare so). GEM's
    forward transfer is another quantity: it needs accuracies on tasks not yet learned. None without a task.
    """
    pairs = list(zip(_seen(matrix), _seen(scratch_matrix), strict=False))
    return fmean(row[-1] - scratch[-1] for row, scratch in pairs) if pairs else None


def task_inference(inferred: Sequence[Sequence[int]]) -> float | None:
    """Mean over tasks of the share of test examples whose task was inferred rightly; None without a tested task.

    Args:
        inferred: (T, T), per task the number of its test examples for which each task was inferred.
    """
    shares = [counts[task] / sum(counts) for task, counts in enumerate(inferred) if sum(counts)]
    return fmean(shares) if shares else None


def interval(accuracy: float, examples: float) -> tuple[float, float]:
    """Wilson's 95 % score interval of an accuracy (a fraction) that was measured on so many independent examples.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. It covers the chance
    in which examples were tested, not that of training, which other seeds show.
    """
    z2 = NormalDist().inv_cdf((1 + LEVEL) / 2) ** 2
    centre = (accuracy + z2 / (2 * examples)) / (1 + z2 / examples)
    half = sqrt(z2 * (accuracy * (1 - accuracy) / examples + z2 / (4 * examples**2))) / (1 + z2 / examples)
    return max(0.0, centre - half), min(1.0, centre + half)  # rounding goes beyond where all answers are right

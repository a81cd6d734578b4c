"""Metrics of continual learning, computed from a matrix of scores.

An accuracy matrix R is a list of rows: `R[i][j]` is the test accuracy (a fraction) on task j after learning
task i, both counted from 0; entries of tasks not yet learned (j > i) are None and never read. Row i is added
when task i is finished, so an unfinished run is measured over the n = len(R) tasks it has finished.

In regression R holds errors in place of accuracies, of which `acc` and `during` are the means, too; what `bwt` gives is
then the mean growth of the error on old tasks.

Libraries disagree on what "forgetting" and "BWT" mean. The definitions used here are those of the papers
named in each function.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean

Matrix = Sequence[Sequence[float | None]]
LEVEL = 0.95  # confidence level of the interval around an accuracy


@dataclass(frozen=True)
class BenchmarkFacts:
    """Facts about a benchmark's test sets that put its accuracies into perspective.

    Attributes:
        majority: (T,) test accuracy on each task of always predicting its most frequent training label.
        examples: (T,) number of independent test examples behind ACC after 1, ..., T tasks.
    """

    majority: Sequence[float]
    examples: Sequence[float]


@dataclass(frozen=True)
class WindowPoint:
    """The scores on all old tasks in the middle of a task, at one of the tests within `training.eval_window`.

    Attributes:
        task: the task being learned, from 0.
        iteration: iterations of it that are done.
        scores: (task,) scores on the tasks before it, accuracies as fractions.
    """

    task: int
    iteration: int
    scores: Sequence[float]


def seen(matrix: Matrix) -> list[list[float]]:
    """Returns the lower triangle of the matrix: row i holds the accuracies on tasks 0..i after task i.

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
    """Computes the average accuracy after the last finished task, ACC = 1/n sum_j R[n-1][j]; None before the first.

    Lopez-Paz & Ranzato 2017, "Gradient Episodic Memory for Continual Learning" (GEM).

    Raises:
        ValueError: a finished task has no accuracy.
    """
    rows = seen(matrix)
    return fmean(rows[-1]) if rows else None


def during(matrix: Matrix) -> float | None:
    """Computes the average accuracy on each task right after learning it, 1/n sum_j R[j][j]; None before the first.

    The "during" accuracy of von Oswald et al. 2020, "Continual learning with hypernetworks".

    Raises:
        ValueError: a finished task has no accuracy.
    """
    rows = seen(matrix)
    return fmean(row[-1] for row in rows) if rows else None


def bwt(matrix: Matrix) -> float | None:
    """Computes backward transfer, 1/(n-1) sum_{j<n-1} (R[n-1][j] - R[j][j]); negative when tasks were forgotten.

    Lopez-Paz & Ranzato 2017 (GEM): the last row only, not an average over rows. None with fewer than 2 tasks.

    Raises:
        ValueError: a finished task has no accuracy.
    """
    rows = seen(matrix)
    if len(rows) < 2:
        return None
    return fmean(rows[-1][j] - row[j] for j, row in enumerate(rows[:-1]))


def forgetting(matrix: Matrix) -> float | None:
    """Computes forgetting, 1/(n-1) sum_{j<n-1} (max_{j<=l<n-1} R[l][j] - R[n-1][j]); may be negative.

    Chaudhry et al. 2018, "Riemannian Walk for Incremental Learning": the maximum is over the rows *before*
    the last. None with fewer than 2 tasks.

    Raises:
        ValueError: a finished task has no accuracy.
    """
    rows = seen(matrix)
    if len(rows) < 2:
        return None
    last, before = rows[-1], rows[:-1]
    return fmean(max(row[j] for row in before[j:]) - last[j] for j in range(len(before)))


def min_acc(matrix: Matrix, window: Sequence[WindowPoint]) -> float | None:
    """Computes min-ACC, 1/(n-1) sum_{j<n-1} of the least accuracy on task j at any test after task j was learned.

    De Lange, van de Ven & Tuytelaars 2023, "Continual evaluation for lifelong learning". The tests are the rows of the
    matrix after row j, and the points of the window. None with fewer than 2 tasks, or where no later task was tested in
    its window.

    Raises:
        ValueError: a finished task has no accuracy.
    """
    rows = seen(matrix)
    tested = [point for point in window if 0 < point.task < len(rows)]
    if len(rows) < 2 or not tested:
        return None
    return fmean(
        min(*(row[j] for row in rows[j + 1 :]), *(point.scores[j] for point in tested if point.task > j))
        for j in range(len(rows) - 1)
    )


def wc_acc(matrix: Matrix, window: Sequence[WindowPoint]) -> float | None:
    """Computes worst-case accuracy, WC-ACC = 1/n R[n-1][n-1] + (1 - 1/n) min-ACC; None where `min_acc` is.

    De Lange, van de Ven & Tuytelaars 2023: what is known of the newest task against the worst on the old ones.

    Raises:
        ValueError: a finished task has no accuracy.
    """
    least = min_acc(matrix, window)
    if least is None:
        return None
    newest = seen(matrix)[-1][-1]
    return newest / len(matrix) + (1 - 1 / len(matrix)) * least


def transfer(matrix: Matrix, scratch_matrix: Matrix) -> float | None:
    """Computes the gain over training from scratch, 1/n sum_j (R[j][j] - S[j][j]), over the tasks both have finished.

    S is the matrix of a run with a separate, freshly initialised network per task, the comparison made by von Oswald
    et al. 2020. GEM's forward transfer is a different quantity: it needs accuracies on tasks not yet learned. None if
    no task is finished in both.

    Raises:
        ValueError: a finished task has no accuracy.
    """
    pairs = list(zip(seen(matrix), seen(scratch_matrix), strict=False))
    return fmean(row[-1] - scratch[-1] for row, scratch in pairs) if pairs else None


def task_inference(inferred: Sequence[Sequence[int]]) -> float | None:
    """Computes the task-inference accuracy, averaged over the tested tasks; None if no task was tested.

    The accuracy on one task is the fraction of its test examples whose task was inferred correctly.

    Args:
        inferred: (T, T) counts; row i says for how many test examples of task i each task was inferred.
    """
    shares = [counts[task] / sum(counts) for task, counts in enumerate(inferred) if sum(counts)]
    return fmean(shares) if shares else None


def interval(accuracy: float, examples: float) -> tuple[float, float]:
    """Computes Wilson's 95 % score interval of an accuracy (a fraction) measured on `examples` independent examples.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. The interval covers the
    randomness in the choice of test examples, not that of training, which shows between seeds.
    """
    z2 = NormalDist().inv_cdf((1 + LEVEL) / 2) ** 2
    centre = (accuracy + z2 / (2 * examples)) / (1 + z2 / examples)
    half = sqrt(z2 * (accuracy * (1 - accuracy) / examples + z2 / (4 * examples**2))) / (1 + z2 / examples)
    return max(0.0, centre - half), min(1.0, centre + half)  # with an accuracy of 1, rounding would exceed 1

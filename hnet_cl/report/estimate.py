"""Mean, standard error and confidence interval over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """An estimate of an expectation from n >= 1 repetitions.

    Attributes:
        n: number of repetitions.
        mean: their mean.
        sem: standard error of the mean: the sample standard deviation divided by sqrt(n); None for n = 1.
    """

    n: int
    mean: float
    sem: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Returns the lower and upper end of the mean's 95 % confidence interval (Student's t); None for n = 1."""
        if self.sem is None:
            return None
        from scipy.special import stdtrit  # importing it takes longer than making a table without intervals

        half = float(stdtrit(self.n - 1, (1 + CONFIDENCE) / 2)) * self.sem
        return self.mean - half, self.mean + half


def estimate(values: Sequence[float]) -> Estimate:
    """Computes the estimate from one value per repetition; there must be at least one."""
    n = len(values)
    return Estimate(n, fmean(values), stdev(values) / math.sqrt(n) if n > 1 else None)

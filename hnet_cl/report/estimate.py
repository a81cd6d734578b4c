"""Mean, standard error and confidence interval over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95
BISECTIONS = 60  # of an angle below pi / 2: to the last digit


@dataclass(frozen=True)
class Estimate:
    """What n >= 1 repetitions say of an expectation.

    Attributes:
        n: number of repetitions.
        mean: their mean.
        sem: standard error of the mean, the sample standard deviation over sqrt(n); None for n = 1.
        interval: 95 % confidence interval of the mean by Student's t, low and high; None for n = 1.
    """

    n: int
    mean: float
    sem: float | None
    interval: tuple[float, float] | None


def estimate(values: Sequence[float]) -> Estimate:
    """The estimate from one value per repetition; at least one."""
    n, mean = len(values), fmean(values)
    if n < 2:
        return Estimate(n, mean, None, None)
    sem = stdev(values) / math.sqrt(n)
    half = t_quantile((1 + CONFIDENCE) / 2, n - 1) * sem
    return Estimate(n, mean, sem, (mean - half, mean + half))


def t_quantile(probability: float, freedom: int) -> float:
    """The t that Student's t of `freedom` >= 1 degrees of freedom stays below with `probability` in [0.5, 1).

    By bisection over the angle atan(t / sqrt(freedom)), in which the distribution is a finite sum.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 + _within(middle, freedom)) / 2 < probability else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """P(|t| < sqrt(freedom) tan(angle)) by Abramowitz & Stegun 1964, 26.7.3 and 26.7.4."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for power in range(2 + odd, freedom + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power - 1) / power
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total

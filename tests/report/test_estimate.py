"""Mean, standard error and t-interval against arithmetic by hand and published quantiles."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.report.estimate import estimate, t_quantile


def test_by_hand() -> None:
    found = estimate([1.0, 2.0, 3.0, 6.0])
    # mean 3, squared deviations 4 + 1 + 0 + 9 = 14, sample variance 14/3, sem sqrt(14/3/4), t(0.975, 3) = 3.182446
    assert (found.n, found.mean) == (4, 3.0)
    assert found.sem == pytest.approx(math.sqrt(14 / 12))
    assert found.interval == pytest.approx((3 - 3.182446 * found.sem, 3 + 3.182446 * found.sem), abs=1e-6)


def test_one_repetition_has_no_spread() -> None:
    found = estimate([0.25])
    assert (found.n, found.mean, found.sem, found.interval) == (1, 0.25, None, None)


def test_two_equal_repetitions_have_none_either_but_know_it() -> None:
    assert estimate([0.1, 0.1]).interval == (0.1, 0.1)


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    [  # Abramowitz & Stegun 1964, table 26.10
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 3, 3.182),
        (0.975, 4, 2.776),
        (0.975, 9, 2.262),
        (0.975, 30, 2.042),
        (0.975, 120, 1.980),
        (0.95, 5, 2.015),
        (0.995, 10, 3.169),
        (0.5, 7, 0.0),
    ],
)
def test_published_quantiles(probability: float, freedom: int, quantile: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(quantile, abs=6e-4)


def test_closed_forms() -> None:
    assert t_quantile(0.975, 1) == pytest.approx(math.tan(math.pi * 0.475), rel=1e-12)  # Cauchy
    p = 0.975
    assert t_quantile(p, 2) == pytest.approx((2 * p - 1) / math.sqrt(2 * p * (1 - p)), rel=1e-12)


@given(st.floats(0.5, 0.999), st.integers(1, 60))
def test_quantiles_fall_with_freedom_and_stay_above_the_normal(probability: float, freedom: int) -> None:
    quantile, next_one = t_quantile(probability, freedom), t_quantile(probability, freedom + 1)
    assert quantile >= next_one - 1e-9
    assert next_one >= NormalDist().inv_cdf(probability) - 1e-9


@given(st.lists(st.floats(0, 1), min_size=2, max_size=10), st.floats(-1, 1))
def test_a_shift_moves_the_mean_alone(values: list[float], shift: float) -> None:
    first, second = estimate(values), estimate([value + shift for value in values])
    assert second.mean == pytest.approx(first.mean + shift, abs=1e-9)
    assert second.sem == pytest.approx(first.sem, abs=1e-9)

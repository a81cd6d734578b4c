"""Mean, standard error and t-interval against arithmetic by hand and closed forms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.report.estimate import estimate


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


def test_closed_forms() -> None:
    """With one degree of freedom Student's t is Cauchy's distribution, with two an algebraic function.

    SciPy before 1.17 has ten digits of it.
    """
    p = 0.975
    two, three = estimate([0.0, 2.0]), estimate([0.0, 1.0, 2.0])  # standard errors 1 and 1 / sqrt(3)
    assert two.interval == pytest.approx((1 - math.tan(math.pi * 0.475), 1 + math.tan(math.pi * 0.475)), rel=1e-10)
    half = (2 * p - 1) / math.sqrt(2 * p * (1 - p)) / math.sqrt(3)
    assert three.interval == pytest.approx((1 - half, 1 + half), rel=1e-10)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=10), st.floats(-1, 1))
def test_a_shift_moves_the_mean_alone(values: list[float], shift: float) -> None:
    first, second = estimate(values), estimate([value + shift for value in values])
    assert second.mean == pytest.approx(first.mean + shift, abs=1e-9)
    assert second.sem == pytest.approx(first.sem, abs=1e-9)

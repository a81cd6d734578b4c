"""Metrics against closed forms worked out by hand, and the identities between them."""

import math
import random as chance
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.records.metrics import (
    BenchmarkFacts,
    Matrix,
    WindowPoint,
    acc,
    bwt,
    during,
    forgetting,
    interval,
    min_acc,
    task_inference,
    transfer,
    wc_acc,
)
from hnet_cl.records.metrics_table import Evidence
from hnet_cl.records.metrics_table import summary as summary_of


def summary(
    matrix: Matrix, benchmark_facts: BenchmarkFacts, inferred: list[list[int]] | None = None
) -> dict[str, float | None]:
    return summary_of(Evidence(matrix, benchmark_facts, inferred))


HALF = [[0.8, None], [0.6, 0.9]]

# One task that is forgotten and recovers (0), one forgotten (1), one that improves at the very end (2).
RECOVERING = [
    [0.83, None, None, None],
    [0.70, 0.90, None, None],
    [0.95, 0.88, 0.90, None],
    [0.90, 0.84, 0.92, 0.97],
]


@st.composite
def matrices(draw: st.DrawFn, smallest: int = 1) -> list[list[float | None]]:
    tasks = draw(st.integers(smallest, 6))
    done = draw(st.integers(smallest, tasks))
    fraction = st.floats(0, 1)
    return [[draw(fraction) if j <= i else None for j in range(tasks)] for i in range(done)]


def even(tasks: int) -> BenchmarkFacts:
    """Two classes of equal size, a hundred test examples a task."""
    return BenchmarkFacts([0.5] * tasks, [100.0 * (task + 1) for task in range(tasks)])


def test_two_tasks_by_hand() -> None:
    assert acc(HALF) == pytest.approx(0.75)
    assert during(HALF) == pytest.approx(0.85)
    assert bwt(HALF) == pytest.approx(-0.2)
    assert forgetting(HALF) == pytest.approx(0.2)


def test_the_papers_variants_and_no_others() -> None:
    # The same matrix gives 0.0367 where the maximum includes the last row, and -0.01 as "first minus last".
    assert forgetting(RECOVERING) == pytest.approx(0.03)
    assert bwt(RECOVERING) == pytest.approx(0.01)  # 0.0050 where earlier rows are averaged in
    assert acc(RECOVERING) == pytest.approx(0.9075)
    assert during(RECOVERING) == pytest.approx(0.9)


def test_forgetting_may_be_negative() -> None:
    assert forgetting([[0.5, None], [0.7, 0.9]]) == pytest.approx(-0.2)


def test_one_task_forgets_nothing_and_no_task_has_no_accuracy() -> None:
    assert (acc([[0.9]]), during([[0.9]]), bwt([[0.9]]), forgetting([[0.9]])) == (0.9, 0.9, None, None)
    assert (acc([]), during([]), bwt([]), forgetting([]), transfer([], [])) == (None,) * 5


def test_transfer_compares_diagonals_over_tasks_both_have() -> None:
    scratch = [[0.7, None], [0.7, 0.8]]
    assert transfer(HALF, scratch) == pytest.approx(0.1)
    assert transfer(HALF, scratch[:1]) == pytest.approx(0.1)
    assert transfer(HALF[:1], [[0.9, None], [0.1, 0.1]]) == pytest.approx(-0.1)


def test_summary_covers_finished_tasks_only() -> None:
    done = summary(RECOVERING[:2], BenchmarkFacts([0.1, 0.3, 0.9, 0.9], [50, 100, 150, 200]))
    assert done == pytest.approx(
        {
            "acc": 0.8,
            "acc_low": 0.711,  # Wilson's interval of 80 of 100
            "acc_high": 0.867,
            "during": 0.865,
            "bwt": -0.13,
            "forgetting": 0.13,
            "min_acc": None,
            "wc_acc": None,
            "certified": None,
            "majority": 0.2,
            "task_inference": None,
            "recognised": None,
            "recognised_real": None,
            "memory": None,
        },
        abs=5e-4,
    )
    assert summary(HALF, even(2), [[3, 1], [1, 1]])["task_inference"] == 0.625


@pytest.mark.parametrize(
    ("right", "examples", "low", "high"),
    [(67, 110, 0.5157, 0.6951), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
)
def test_wilsons_interval(right: int, examples: int, low: float, high: float) -> None:
    found = interval(right / examples, examples)
    assert found == pytest.approx((low, high), abs=5e-5)
    for bound in found:  # where a test of that accuracy would just not reject what was seen
        assert abs(bound - right / examples) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / examples))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    draws = chance.Random(0)
    for truth in (0.6, 0.95):
        seen = [sum(draws.random() < truth for _ in range(110)) / 110 for _ in range(2000)]
        covered = [low <= truth <= high for low, high in (interval(accuracy, 110) for accuracy in seen)]
        assert sum(covered) / len(covered) == pytest.approx(0.95, abs=0.02)


def test_task_inference_is_the_mean_share_over_tested_tasks() -> None:
    assert task_inference([[3, 1, 0], [4, 4, 0], [0, 0, 0]]) == 0.625
    assert task_inference([[0, 0], [0, 0]]) is None
    assert set(summary([], even(1)).values()) == {None}


def test_a_missing_accuracy_is_an_error() -> None:
    with pytest.raises(ValueError, match="row 1"):
        acc([[0.9, None], [None, 0.8]])


@given(matrices(smallest=2))
def test_bwt_is_final_minus_during(matrix: list[list[float | None]]) -> None:
    n = len(matrix)
    assert bwt(matrix) == pytest.approx((acc(matrix) - during(matrix)) * n / (n - 1), abs=1e-12)


@given(matrices(smallest=2))
def test_forgetting_is_at_least_the_loss_since_learning(matrix: list[list[float | None]]) -> None:
    assert forgetting(matrix) >= -bwt(matrix) - 1e-12
    assert -1 <= forgetting(matrix) <= 1


@given(matrices())
def test_an_unfinished_run_is_the_shorter_run(matrix: list[list[float | None]]) -> None:
    n = len(matrix)
    square = [row[:n] for row in matrix]
    assert summary(matrix, even(6)) == summary(square, even(n))


@given(matrices())
def test_entries_of_unlearned_tasks_are_never_read(matrix: list[list[float | None]]) -> None:
    filled = [[math.nan if j > i else value for j, value in enumerate(row)] for i, row in enumerate(matrix)]
    assert summary(filled, even(6)) == summary(matrix, even(6))


@given(matrices(), st.randoms(use_true_random=False))
def test_order_within_the_last_row_does_not_change_acc(matrix: list[list[float | None]], random: Random) -> None:
    last = matrix[-1][: len(matrix)]
    random.shuffle(last)
    assert acc([*matrix[:-1], last]) == pytest.approx(acc(matrix))


@given(matrices())
def test_no_transfer_to_itself_nor_forgetting_when_nothing_changes(matrix: list[list[float | None]]) -> None:
    assert transfer(matrix, matrix) == 0
    frozen = [[0.5 if value is not None else None for value in row] for row in matrix]
    assert bwt(frozen) in (0, None) and forgetting(frozen) in (0, None)


DIPS = [
    WindowPoint(1, 10, [0.3]),
    WindowPoint(1, 20, [0.75]),
    WindowPoint(2, 10, [0.5, 0.4]),
    WindowPoint(2, 20, [0.9, 0.2]),
    WindowPoint(3, 10, [0.8, 0.9, 0.95]),
]


def test_worst_case_by_hand() -> None:
    # Task 0 was at 0.3 in the middle of task 1, task 1 at 0.2 in that of task 2, task 2 never below its end, 0.92.
    assert min_acc(RECOVERING, DIPS) == pytest.approx((0.3 + 0.2 + 0.92) / 3)
    assert wc_acc(RECOVERING, DIPS) == pytest.approx(0.97 / 4 + 3 / 4 * (0.3 + 0.2 + 0.92) / 3)
    assert min_acc(HALF, [WindowPoint(1, 1, [0.7])]) == 0.6  # what is lost by the end counts, as rows are tests, too
    assert wc_acc(HALF, [WindowPoint(1, 1, [0.7])]) == pytest.approx((0.9 + 0.6) / 2)


def test_worst_case_is_known_only_of_what_was_tested() -> None:
    assert (min_acc(RECOVERING, []), wc_acc(RECOVERING, [])) == (None, None)
    assert (min_acc([[0.9]], DIPS), wc_acc([], DIPS)) == (None, None)
    assert min_acc(HALF, DIPS[2:]) is None, "the points of a task that is not finished do not count yet"
    assert min_acc(HALF, DIPS) == 0.3
    assert summary_of(Evidence(HALF, window=DIPS))["wc_acc"] == pytest.approx((0.9 + 0.3) / 2)


@given(matrices(smallest=2), st.randoms(use_true_random=False))
def test_worst_case_by_brute_force(matrix: list[list[float | None]], draw: Random) -> None:
    """Everything that is known of a task since it was learned, on one axis of iterations."""
    done, steps = len(matrix), 10
    window = [WindowPoint(task, step, [draw.random()] * task) for task in range(1, done) for step in (2, 4)]
    known = {(task * steps + steps, old): matrix[task][old] for task in range(done) for old in range(task + 1)}
    known |= {(one.task * steps + one.iteration, old): one.scores[old] for one in window for old in range(one.task)}
    least = []
    for old in range(done - 1):
        learned = (old + 1) * steps
        since = [value for (at, of), value in known.items() if of == old and at > learned and value is not None]
        least.append(sorted(since)[0])
    mean = sum(least) / len(least)
    assert min_acc(matrix, window) == pytest.approx(mean)
    newest = matrix[-1][done - 1] or 0.0
    assert wc_acc(matrix, window) == pytest.approx((newest + (done - 1) * mean) / done)

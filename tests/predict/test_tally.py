"""What answers amount to, against numbers worked out by hand."""

import pytest
import torch

from hnet_cl.predict.tally import Tally


def test_accuracy_calibration_and_confusions() -> None:
    """Bins of 1/15: 0.95 and 0.99 share the last one; 0.5 lies in the eighth, (7/15, 8/15]."""
    tally = Tally()
    correct = torch.tensor([True, False, True])
    tally.add(1, correct, [("2", "2"), ("10", "2"), ("10", "10")], torch.tensor([0.95, 0.99, 0.5]))
    tally.add_tasks(1, torch.tensor([1, 1, 0]))
    tally.add(0, torch.tensor([True]), [("2", "2")], torch.tensor([1.0]))
    expected = (abs(1 - 0.95 - 0.99 + 1 - 1.0) + abs(1 - 0.5)) / 4
    assert tally.calibration_error == pytest.approx(expected, abs=1e-7)
    assert tally.lines() == [
        "task 1: 100.00% of 1 right",
        "task 2: 66.67% of 3 right",
        "mean over 2 tasks: 83.33%",
        "task inference: 33.33% of the tasks found",
        f"expected calibration error (15 bins): {expected:.2%}",
        "",
        "answers by right class (rows) and given class (columns)",
        "    2  10",
        " 2  2   0",
        "10  1   1",
    ]


def test_bins_are_open_below_and_a_certain_answer_is_in_the_last() -> None:
    tally = Tally()
    sure = torch.tensor([0.0, 1 / 15, 1.0], dtype=torch.float64)
    tally.add(0, torch.tensor([False, True, True]), [("a", "a")] * 3, sure)
    assert tally.calibration_error == pytest.approx((1 - 1 / 15) / 3), "the first two share a bin"


def test_of_many_classes_only_the_confusions_are_printed() -> None:
    tally = Tally()
    pairs = [("a", str(number)) for number in range(30)] + [("a", "7"), ("b", "b")]
    tally.add(0, torch.tensor([False] * 31 + [True]), pairs, None)
    assert tally.calibration_error is None
    lines = tally.lines()
    assert lines[2:4] == ["the most frequent confusions of 32 classes", "2: a taken for 7"] and len(lines) == 13


def test_a_strangers_names_do_nothing_to_the_terminal() -> None:
    tally = Tally()
    tally.add(0, torch.tensor([True]), [("\x1b[31mred\n", "\x1b[31mred\n")], None)
    assert all(line.isprintable() for line in tally.lines())


def test_without_answers_there_is_nothing_to_say() -> None:
    assert Tally().lines() == []

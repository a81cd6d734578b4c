"""The figure of scores over a setting."""

from pathlib import Path

import pytest
from fake_runs import readable, square, write_run
from matplotlib.figure import Figure

from hnet_cl.report.figures import figures
from hnet_cl.report.grouping import Layout, sections

KEY = "method.strength"


def drawn(root: Path, rows: str = KEY) -> Figure | None:
    (found,) = sections(readable(root), Layout([rows], ["scenario"]))
    return figures(found, wanted=["sensitivity"]).get("sensitivity")


def test_scores_right_after_learning_and_at_the_end_over_the_key(tmp_path: Path) -> None:
    for strength, seed, final in (("1", 1, 0.6), ("0.5", 1, 0.8), ("0.5", 2, 0.4), ("0.125", 1, 0.2)):
        write_run(tmp_path, strength, seed, overrides=[f"{KEY}={strength}"], accuracy_matrix=square(final, 1.0))
    figure = drawn(tmp_path)
    assert figure is not None
    axes = figure.axes[0]
    during, end = (container.lines[0] for container in axes.containers)
    assert list(end.get_xdata()) == [0.125, 0.5, 1.0]
    assert end.get_ydata() == pytest.approx([0.6, 0.8, 0.8])  # means over two tasks, and over seeds
    assert during.get_ydata() == pytest.approx([1.0, 1.0, 1.0])
    low, high = axes.containers[1].lines[2][0].get_segments()[1][:, 1]
    assert (low, high) == pytest.approx((0.7, 0.9))  # sem |0.9 - 0.7| / 2
    assert axes.get_xlabel() == KEY and axes.get_xscale() == "linear"
    figure.canvas.draw()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.125", "0.5", "1"]


def test_settings_of_different_sizes_are_on_a_logarithmic_axis(tmp_path: Path) -> None:
    for strength in ("0.1", "1"):
        write_run(tmp_path, strength, overrides=[f"{KEY}={strength}"], accuracy_matrix=square(0.5, 1.0))
    figure = drawn(tmp_path)
    assert figure is not None and figure.axes[0].get_xscale() == "log"


@pytest.mark.parametrize("values", [("0.1", "inf"), ("0.1", "half"), ("0.1",)])
def test_only_numbers_have_an_axis(values: tuple[str, ...], tmp_path: Path) -> None:
    for value in values:
        write_run(tmp_path, value, overrides=[f"{KEY}={value}"], accuracy_matrix=square(0.5, 1.0))
    assert drawn(tmp_path) is None


def test_methods_have_none(tmp_path: Path) -> None:
    for method in ("hnet", "ewc"):
        write_run(tmp_path, method, method=method, accuracy_matrix=square(0.5, 1.0))
    assert drawn(tmp_path, "method") is None

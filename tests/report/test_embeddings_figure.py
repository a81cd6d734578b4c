"""Task embeddings in two dimensions: closed forms, and what is drawn of run folders."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fake_runs import readable, square, write_run
from matplotlib.colors import to_hex

from hnet_cl.records.embeddings import FILE, read_embeddings, write_embeddings
from hnet_cl.report.embeddings_figure import plane
from hnet_cl.report.figures import figures
from hnet_cl.report.grouping import Layout, Section, sections

FIVE = [[0.0, 0.0], [1.0, 0.5], [2.0, 0.0], [3.0, 1.5], [4.0, 1.0]]


def section(folder: Path) -> Section:
    (found,) = sections(readable(folder), Layout(["method"], ["scenario"]))
    return found


def test_points_on_a_line_have_one_component() -> None:
    direction = np.array([2.0, -1.0, 2.0]) / 3
    points, shares, _ = plane(np.array([5.0, 5.0, 5.0]) + np.outer([-3.0, 1.0, 2.0], direction))
    assert shares == pytest.approx([1, 0])
    np.testing.assert_allclose(points, [[-3, 0], [1, 0], [2, 0]], atol=1e-12)


def test_points_on_a_plane_keep_their_distances_and_share_the_variance() -> None:
    """A cross with arms of length 2 along (0, 3, 4) / 5 and of length 1 along the first axis: variances 8 and 2."""
    long, short = np.array([0.0, 0.6, 0.8]), np.array([1.0, 0.0, 0.0])
    points, shares, _ = plane(7 + np.stack([2 * long, short, -2 * long, -short]))
    assert shares == pytest.approx([0.8, 0.2])
    np.testing.assert_allclose(points, [[2, 0], [0, 1], [-2, 0], [0, -1]], atol=1e-12)


def test_two_dimensions_are_left_as_they_are_and_one_or_none_is_no_error() -> None:
    points, shares, _ = plane(np.array(FIVE))
    assert points.tolist() == FIVE and shares is None
    points, shares, _ = plane(np.array([[1.0], [3.0]]))
    assert points.tolist() == [[-1, 0], [1, 0]] and shares == pytest.approx([1, 0])
    points, shares, _ = plane(np.ones((3, 4)))
    assert not points.any() and shares == pytest.approx([0, 0])


def test_a_panel_shows_the_lowest_seed_with_arrows_from_task_to_task(tmp_path: Path) -> None:
    for seed, method in ((2, "hnet"), (1, "hnet"), (1, "ewc")):
        folder = write_run(tmp_path, method, seed, method=method, accuracy_matrix=square(*[1.0] * 5))
        if method == "hnet":
            write_embeddings(folder, [[seed * x, y] for x, y in FIVE])
    figure = figures(section(tmp_path), wanted=("task_embeddings",))["task_embeddings"]
    (axes,) = figure.axes
    (bar,) = axes.child_axes
    assert axes.get_title(loc="left") == "HNET, task-incremental\nseed 1, embedding size 2"
    (points,) = axes.collections
    np.testing.assert_allclose(points.get_offsets(), FIVE)
    arrows = [text for text in axes.texts if text.arrow_patch is not None]
    assert [(arrow.get_position(), arrow.xy) for arrow in arrows] == [
        (tuple(start), tuple(end)) for start, end in pairwise(FIVE)
    ]
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["1", "2", "3", "4", "5"]
    assert [to_hex(colour) for colour in points.to_rgba([1, 5])] == ["#440154", "#fde725"]  # ends of viridis
    assert points.get_array().tolist() == [1, 2, 3, 4, 5]
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == ("dimension 1", "dimension 2", "task")
    assert axes.get_xlim()[0] < 0 < 4 < axes.get_xlim()[1] and bar.get_ylim() == (1, 5)


def test_axes_say_their_shares_of_the_variance(tmp_path: Path) -> None:
    folder = write_run(tmp_path, accuracy_matrix=square(*[1.0] * 4))
    write_embeddings(folder, [[2, 0, 0], [0, 1, 0], [-2, 0, 0], [0, -1, 0]])
    axes = figures(section(tmp_path), wanted=("task_embeddings",))["task_embeddings"].axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("PC 1 (80 % of variance)", "PC 2 (20 % of variance)")


def test_the_file_is_read_back_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    assert read_embeddings(tmp_path) is None
    write_embeddings(tmp_path, [[0.1, -2e-30], [1 / 3, 4.0]])
    assert (tmp_path / FILE).read_text().splitlines()[0] == "task,1,2"
    assert read_embeddings(tmp_path) == [[0.1, -2e-30], [1 / 3, 4.0]]
    damaged = (
        "",
        "task,1\n",
        "task\n1\n",
        "task,1\n1,nan\n",
        "task,1\n1,a\n",
        "task,1,2\n1,1,2\n2,1\n",
        "task,1\n\n1,2\n",
        "foo,1\n1,2\n",
        "task,2\n1,2\n",
        "task,1\n2,1\n1,2\n",
        "task,1\n1,1e39\n",
        "task,1\n1,1e-320\n",
    )
    for text in damaged:
        (tmp_path / FILE).write_text(text)
        assert read_embeddings(tmp_path) is None, text


def test_more_embeddings_than_tasks_are_not_the_runs(tmp_path: Path) -> None:
    write_embeddings(write_run(tmp_path, accuracy_matrix=square(1.0, 1.0)), [[1.0, 2.0]] * 3)
    assert "task_embeddings" not in figures(section(tmp_path))


def test_the_largest_and_the_least_numbers_can_be_drawn(tmp_path: Path) -> None:
    folder = write_run(tmp_path, accuracy_matrix=square(1.0, 1.0, 1.0))
    write_embeddings(folder, [[-3.4e38, 1e-45, 0], [3.4e38, 0, 1], [0, 0, 1]])
    assert "task_embeddings" in figures(section(tmp_path), wanted=("task_embeddings",))


@pytest.mark.parametrize(
    ("embeddings", "drawn"),
    [([[0, 1, 2], [1, 1, 0]], False), ([[0, 1], [1, 0]], True), ([[0, 1, 2], [1, 1, 0], [2, 0, 0]], True)],
)
def test_two_tasks_have_no_plane_of_their_own(embeddings: list[list[float]], drawn: bool, tmp_path: Path) -> None:
    write_embeddings(write_run(tmp_path, accuracy_matrix=square(*[1.0] * len(embeddings))), embeddings)
    assert ("task_embeddings" in figures(section(tmp_path), wanted=("task_embeddings",))) == drawn


def test_runs_without_embeddings_have_no_such_figure(tmp_path: Path) -> None:
    write_embeddings(write_run(tmp_path, accuracy_matrix=[[0.5]]), [[1.0, 2.0]])  # one task has no direction
    write_run(tmp_path, "b", method="ewc")
    assert "task_embeddings" not in figures(section(tmp_path))

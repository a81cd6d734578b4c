"""The heat map: what it shows, at every number of tasks, without pyplot."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from states import state

from hnet_cl.core.scores import MSE
from hnet_cl.loggers import pictures as plots
from hnet_cl.loggers.pictures import PictureLog, accuracy_heatmap, error_heatmap, pixels, save_picture
from hnet_cl.records.metrics import BenchmarkFacts
from hnet_cl.records.run_log import RunLog
from hnet_cl.records.run_state import Progress


def benchmark_facts(tasks: int) -> BenchmarkFacts:
    return BenchmarkFacts([0.6] * tasks, [100] * tasks)


def matrix(tasks: int, done: int, value: float = 0.9) -> list[list[float | None]]:
    return [[value if j <= i else None for j in range(tasks)] for i in range(done)]


@pytest.mark.parametrize(("tasks", "done"), [(1, 1), (2, 1), (5, 5), (20, 3), (21, 3), (100, 100), (501, 2)])
def test_numbers_labels_and_blanks(tasks: int, done: int) -> None:
    figure = accuracy_heatmap(matrix(tasks, done), "pmnist · cl1 · hnet · mnist", benchmark_facts(tasks))
    axes = figure.axes[0]
    image = axes.images[0]
    assert image.get_clim() == (0, 1)
    assert np.ma.count(np.ma.masked_invalid(image.get_array())) == done * (done + 1) // 2
    assert len(axes.texts) == (done * (done + 1) // 2 if tasks <= 20 else 0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("accuracy on task", "after learning task")
    title = axes.get_title(loc="left")
    assert "pmnist · cl1 · hnet · mnist" in title and "ACC 90.00%" in title and f"{done} of {tasks}" in title
    assert "(95 %: 82.6 to 94.5)" in title and "majority class 60.00%" in title
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[0] == "1" and len(labels) <= 21
    assert max(figure.get_size_inches()) < 10


def test_text_lies_within_the_figure() -> None:
    for tasks in (2, 20, 100):
        figure = accuracy_heatmap(
            matrix(tasks, tasks), "split_cifar100 · cl3 · hnet_tir · mnist-5k", benchmark_facts(tasks)
        )
        image = pixels(figure)
        assert image.dtype == np.uint8 and image.shape[2] == 3
        edges = (image[0], image[-1], image[:, 0], image[:, -1])
        assert all((edge == 255).all() for edge in edges)  # nothing is cut off at a border


def test_the_file_is_a_png_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "accuracy_matrix.png"
    picture = pixels(accuracy_heatmap(matrix(3, 2), "a", benchmark_facts(3)))
    save_picture(picture, path)
    with Image.open(path) as image:
        assert (np.asarray(image) == picture).all()
    assert [file.name for file in tmp_path.iterdir()] == ["accuracy_matrix.png"]


def test_imports_neither_pyplot_nor_torch_nor_hydra() -> None:
    code = (
        "import sys, hnet_cl.loggers.pictures, hnet_cl.records.recorder, hnet_cl.records.metrics\n"
        "assert not {'torch', 'hydra', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pictures_of_a_run(tmp_path: Path) -> None:
    shown: list[tuple[str, tuple[int, ...], int]] = []
    now = state(tmp_path, progress=Progress(matrix(2, 1)))
    log = RunLog(now, [PictureLog("a", lambda name, p: shown.append((name, p.shape, now.learned)))], {})
    log.samples(0, None, [0.5], 0.9)
    log.begin_task(1, 0)
    log.samples(1, np.zeros((2, 16, 1, 4, 4)), [0.5, 0.5], 0.9)
    log.row(1, [0.8, 0.9], [[1, 0], [0, 1]])
    assert [(name, learned) for name, _, learned in shown] == [
        ("samples", 2),
        ("accuracy_matrix", 2),
        ("inferred_tasks", 2),
    ]
    with Image.open(tmp_path / "accuracy_matrix.png") as image:
        assert shown[1][1] == (image.height, image.width, 3)
    assert {path.name for path in tmp_path.iterdir()} == {
        "accuracy_matrix.png",
        "inferred_tasks.png",
        "samples_after_task_02.png",
    }


def test_heat_maps_take_little_of_the_time_but_the_last_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock on which a drawing takes 1 s: none in the first 15 s, and after each none for 1 s / DRAWING_SHARE.

    Save for the last one.
    """
    now = 0.0

    def show(name: str, picture: np.ndarray) -> None:
        nonlocal now
        now += 1
        drawn.append(log.state.learned)

    drawn: list[int] = []
    monkeypatch.setattr(plots, "time", SimpleNamespace(monotonic=lambda: now))
    log = RunLog(state(tmp_path, "abcdefgh", [10] * 8), [PictureLog("a", show)], {})
    for task, row in enumerate(matrix(8, 8)):
        log.row(task, row, None)
        now += 0.4 / plots.DRAWING_SHARE
    assert drawn == [2, 5, 8]


def test_errors_are_brighter_if_smaller() -> None:
    figure = error_heatmap([[0.001, None], [0.1, 0.01]], "toy_regression · cl1", MSE)
    axes, bar = figure.axes
    image = axes.images[0]
    assert [text.get_text() for text in axes.texts] == ["0.001", "0.1", "0.01"]
    assert image.get_clim() == pytest.approx((0.001, 0.1)) and image.norm(0.01) == pytest.approx(0.5)
    best, worst = (sum(image.cmap(float(image.norm(value)))[:3]) for value in (0.001, 0.1))
    assert best > worst
    assert [text.get_color() for text in axes.texts] == ["black", "white", "white"]
    assert "MSE 0.05500 after 2 of 2 tasks, smaller is better" in axes.get_title(loc="left")
    assert axes.get_xlabel() == "MSE on task" and len(bar.get_yticks()) > 1
    assert len(error_heatmap([[0.0]], "a", MSE).axes[0].images) == 1  # no error at all has no logarithm

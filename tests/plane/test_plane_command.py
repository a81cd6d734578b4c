"""`python -m hnet_cl.plane`: a run folder in, a figure, its numbers and clear lines out."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from processes import folder_of, in_process, result_of

from hnet_cl.plane.cli import main
from hnet_cl.plane.figure import plane_figure
from hnet_cl.plane.output import remarks
from hnet_cl.plane.survey import Grid, Panel, grid_around
from hnet_cl.report.forms import WIDTHS, Form
from hnet_cl.report.looks import VERMILION

SMALL = ("benchmark=toy", "benchmark.num_tasks=2", "training.iterations=5", "device.threads=1")
FILES = ["embedding_plane.csv", "embedding_plane.pdf", "embedding_plane.png", "embedding_plane.svg"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with task embeddings of two numbers."""
    place = f"output_dir={tmp_path_factory.mktemp('runs')}"
    return folder_of(in_process(*SMALL, "method=hnet", "method.hypernet.task_embedding=2", place))


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(words)
    out, err = capsys.readouterr()
    assert (end.value.code, out, err.count("\n")) == (2, "", 1)
    return err.removeprefix("hnet_cl.plane: ").rstrip("\n")


def test_figure_and_numbers(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At a task's own embedding, accuracy is that of the run after its last task; older files are replaced."""
    output = tmp_path / "new" / "plane"
    output.mkdir(parents=True)
    for name in FILES:
        (output / name).write_text("test_task,embedding_of,x,y,accuracy,examples\n1,1,0,0,1,1\n")
    main([f"run={run}", f"output={output}", "tasks=2,1", "points=3"])
    assert sorted(path.name for path in output.iterdir()) == FILES
    starts = {path.suffix: path.read_bytes()[:5] for path in output.iterdir()}
    assert (starts[".png"][1:4], starts[".svg"], starts[".pdf"]) == (b"PNG", b"<?xml", b"%PDF-")
    with (output / FILES[0]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    last = result_of(run)["accuracy_matrix"][-1]
    marks = [row for row in rows if row["embedding_of"]]
    own = {int(row["test_task"]): float(row["accuracy"]) for row in marks if row["test_task"] == row["embedding_of"]}
    assert own == dict(enumerate(last, start=1))
    assert [row["test_task"] for row in rows[:: 2 + 9]] == ["2", "1"] and len(rows) == 2 * (2 + 9)
    with (run / "task_embeddings.csv").open(newline="") as file:
        embeddings = [(float(row["1"]), float(row["2"])) for row in csv.DictReader(file)]
    assert [(float(row["x"]), float(row["y"])) for row in marks[:2]] == [pytest.approx(one) for one in embeddings]
    middle = (np.min(embeddings, 0) + np.max(embeddings, 0)) / 2
    assert [float(rows[2 + 4][key]) for key in "xy"] == pytest.approx(middle.tolist())
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in said[:2]] == [
        ["task", f"{task}:", f"{100 * last[task - 1]:.2f}"] for task in (2, 1)
    ]
    assert said[2:] == [str(output / name) for name in (FILES[0], FILES[2], FILES[3], FILES[1])]


@pytest.mark.parametrize("name", FILES)
def test_files_of_others_stay(name: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text("test_task,accuracy\n")
    line = refused(capsys, f"run={run}", f"output={tmp_path}")
    assert line == f"output={tmp_path}: {name} there was not written by hnet_cl.plane; give another folder"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert refused(capsys, f"run={run}", f"output={tmp_path / name}") == (
        f"output={tmp_path / name}: is no folder; give another one"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["tasks=3"], "task=3: this run has learned tasks 1 to 2"),
        (["tasks=1,1"], "tasks=1,1: names a task twice"),
        (["tasks=1,"], "tasks=: give a whole number from 1 on"),
        (["points=1"], "points=1: give a whole number from 2 to 500, of points along each axis"),
        (["points=501"], "points=501: give a whole number from 2 to 500, of points along each axis"),
        (["examples=0"], "examples=0: give a whole number from 1 on"),
        (["width=wide"], "width=wide: give column or page"),
        (["style=bold"], "style=bold: give paper or talk"),
        (["device=tpu"], "device=tpu: give cpu or cuda"),
        (["task=1"], "task: no such key; did you mean tasks?"),
        (["plane"], "plane: cannot be read as KEY=VALUE; for example: python -m hnet_cl.plane run="),
    ],
)
def test_mistakes_are_a_line(
    words: list[str], line: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, f"run={run}", f"output={tmp_path / 'plane'}", *words).startswith(line)
    assert not (tmp_path / "plane").exists()


def test_runs_that_have_no_plane(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No run at all, and one that is not finished."""
    output = f"output={tmp_path / 'plane'}"
    assert refused(capsys, output) == (
        "run: is missing; for example: python -m hnet_cl.plane run=outputs/smnist-cl1-hnet/1a2b3c4d/seed=1 output=plane"
    )
    assert refused(capsys, f"run={run}").startswith("output: is missing; ")
    assert refused(capsys, f"run={tmp_path}", output).startswith(f"run={tmp_path}: is no run folder, as it holds no ")
    copy = shutil.copytree(run, tmp_path / "copy")
    result = result_of(copy) | {"status": "interrupted", "tasks_done": 1}
    (copy / "result.json").write_text(json.dumps(result))
    assert refused(capsys, f"run={copy}", output).startswith(
        f"run={copy}: this run is not finished (status interrupted, 1 of 2 tasks learned); finish it with: "
    )
    assert not (tmp_path / "plane").exists()


def drawn(panels: list[Panel], grid: Grid, form: Form = Form()) -> Any:  # noqa: B008
    return plane_figure(grid, panels, ["a remark"], form)


def test_a_panel_has_colours_from_0_to_100_and_a_disc_for_each_task() -> None:
    """Of a grid of 2 x 3 points; the first row of numbers is the lowest."""
    points = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 1.0]])
    grid = grid_around(points, 2)._replace(x=np.array([0.0, 1.0, 2.0]), y=np.array([0.0, 2.0]))
    values = np.array([[0.0, 0.5, 1.0], [0.1, 0.2, 0.3]])
    found = [Panel(task, f"task {task + 1}" if task else "digits", values, np.full(3, 0.987), 5, 5) for task in (0, 2)]
    figure = drawn(found, grid)
    first, last = figure.axes[:2]
    assert first.get_title(loc="left") == "task 1: digits\n98.7 % at its own embedding"
    assert last.get_title(loc="left") == "task 3\n98.7 % at its own embedding"
    (image,) = first.images
    np.testing.assert_array_equal(image.get_array(), values)
    assert (image.origin, image.get_extent(), image.get_clim()) == ("lower", [-0.5, 2.5, -1, 3], (0, 1))
    assert (first.get_xlim(), first.get_ylim()) == ((-0.5, 2.5), (-1, 3))
    assert [to_hex(image.to_rgba(values[0])[place]) for place in (0, 2)] == ["#440154", "#fde725"]  # ends of viridis
    others, own = last.collections
    assert others.get_offsets().tolist() == points[:2].tolist() and own.get_offsets().tolist() == [points[2].tolist()]
    assert own.get_sizes()[0] > others.get_sizes()[0] and to_hex(own.get_facecolor()[0]) == VERMILION.lower()
    assert [(text.get_text(), text.get_position()) for text in last.texts] == [
        (str(task), tuple(place)) for task, place in enumerate(points.tolist(), start=1)
    ]
    assert (first.get_xlabel(), first.get_ylabel()) == ("dimension 1", "dimension 2")
    (bar,) = last.child_axes
    assert bar.get_ylabel() == "accuracy" and bar.yaxis.get_major_formatter()(0.5) == "50 %"
    assert [text.get_text() for text in figure.texts] == ["a remark"]


def test_of_many_tasks_only_the_panels_own_has_its_number_and_a_figure_has_the_width_asked_for() -> None:
    grid = grid_around(np.random.default_rng(1).normal(size=(21, 2)), 2)
    panel = Panel(20, "last", np.zeros((2, 2)), np.zeros(21), 5, 5)
    figure = drawn([panel], grid, Form("column"))
    assert [text.get_text() for text in figure.axes[0].texts] == ["21"]
    assert figure.get_tightbbox().width == pytest.approx(WIDTHS["column"], abs=0.1)


def test_remarks_say_how_many_examples_were_tested() -> None:
    plan = {key: type("Named", (), {"name": key})() for key in ("method", "benchmark", "scenario")}
    trained: Any = type("Stub", (), {"plan": type("Plan", (), plan | {"seed": 7})()})()
    grid = grid_around(np.eye(3), 2)
    whole, part = (Panel(task, "", np.zeros((2, 2)), np.zeros(3), 100, size) for task, size in ((0, 100), (2, 4000)))
    first, colours, _, projected = remarks(trained, grid, [whole, part])
    assert first == "method, benchmark, scenario, seed 7"
    assert colours == (
        "Colours: accuracy of the network generated at each of 2 x 2 points, on the task's test examples (task 1: all "
        "100; task 3: 100 of 4,000; a part is drawn at random, for a standard error up to 5.0 points), among its own "
        "classes."
    )
    assert projected.startswith("Embeddings of 3 numbers, projected onto their first two principal components (PC). ")
    assert "(all 100)" in remarks(trained, grid, [whole, whole])[1]
    assert len(remarks(trained, grid_around(np.eye(2), 2), [whole])) == 3

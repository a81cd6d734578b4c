"""`python -m hnet_cl.data`: the tasks of a benchmark in words and in a picture, and nothing else."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import blobs
from PIL import Image

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.data.cli import HELP, main
from hnet_cl.data.contact_sheet import contact_sheet, first_images
from hnet_cl.datasets.images import Scale

DIGITS = ("benchmark=split", "dataset=mnist_5k", "benchmark.tasks=[[3,1],[7]]")


def test_tasks_in_words_and_in_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["method=ewc", *DIGITS])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "Data mnist-5k: 2 tasks of 1 to 2 classes, training examples 400 to 800 a task and 400 a class, test examples "
        "100 to 200 a task, inputs 1 x 28 x 28."
    )
    rows = [line.split() for line in lines if line.split()[:1] in (["1"], ["2"])]
    assert rows == [
        ["1", "800", "200", "digits", "3", "1", "400", "each:", "3,", "1"],
        ["2", "400", "100", "digits", "7", "400", "each:", "7"],
    ]
    assert lines[-1] == "outputs/split_mnist_5k.png"
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")] == lines[-1:]
    pixels = np.asarray(Image.open(lines[-1]).convert("L"))
    assert (pixels < 30).mean() > 0.05, "digits are white on black"


def test_vectors_are_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["benchmark=toy", "benchmark.num_tasks=2", f"output={tmp_path / 'none.png'}"])
    assert capsys.readouterr().out.splitlines()[-1] == "Inputs are no images: nothing is drawn."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([*DIGITS, "benchmark.shuffle_classes=true"], "benchmark.shuffle_classes=true: benchmark.tasks says which"),
        ([*DIGITS, "-m"], "--multirun: is a flag of the command line"),
        (["benchmark=split", "dataset=mnist_5k", "benchmark.tasks=[[x]]"], "benchmark.tasks: mnist-5k has no class x;"),
        ([*DIGITS, "output=/proc/none/a.png"], "/proc/none: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.startswith(f"hnet_cl.data: {line}") and said.count("\n") == 1


def coloured(classes: int, number: int) -> Task:
    """A task whose class c has two examples: one that is 10 c + 5 in all channels, then a white one."""
    first = torch.arange(classes, dtype=torch.uint8) * 10 + 5
    images = torch.stack([first, torch.full_like(first, 255)], 1).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    split = Split(images, torch.arange(classes).repeat_interleave(2), Scale())
    names = [f"$class_{label} and more" for label in range(classes)]
    return Task(number, "お [bold]", split, split, classes, picture=Scale().undo, class_names=names)


def test_the_first_image_of_each_class() -> None:
    found = dict(first_images(coloured(3, 0)))
    assert [image.shape for image in found.values()] == [(4, 4, 3)] * 3
    assert [round(255 * float(image.max())) for image in found.values()] == [5, 15, 25]
    assert len(dict(first_images(coloured(23, 0)))) == 20


def test_only_the_first_tasks_and_classes_are_drawn() -> None:
    figure = contact_sheet([coloured(22, number) for number in range(23)], "many")
    assert figure is not None
    (axes,) = figure.axes
    assert len(axes.images) == 20 * 20
    said = [text.get_text() for text in axes.texts]
    assert said[0] == "many (the first 20 of 23 tasks, the first 20 of up to 22 classes)"
    assert said[1] == "1  ? [bold]" and "$class_0 and.." in said


def test_no_sheet_of_points() -> None:
    assert contact_sheet(blobs().tasks, "toy") is None


def test_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "hnet_cl.data", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{HELP}\n", "")


@pytest.mark.parametrize("kind", ["text", "picture", "link", "folder"])
def test_nothing_of_the_users_is_replaced(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = tmp_path / "mine.png", tmp_path / "other.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        Image.new("L", (2, 2)).save(other)
        path.symlink_to(other)
    elif kind == "picture":
        Image.new("L", (2, 2)).save(path)
    else:
        path.write_text("mine")
    before = [(one.name, one.is_dir() or one.read_bytes()) for one in sorted(tmp_path.iterdir())]
    with pytest.raises(SystemExit) as ended:
        main([*DIGITS, f"output={path}"])
    assert ended.value.code == 2
    line = f"hnet_cl.data: output={path}: is there already, and hnet_cl.data has not drawn it; give another file\n"
    assert capsys.readouterr().err == line
    assert [(one.name, one.is_dir() or one.read_bytes()) for one in sorted(tmp_path.iterdir())] == before


def test_its_own_picture_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tasks.png"
    main([*DIGITS, f"output={path}"])
    first = path.read_bytes()
    main(["benchmark=split", "dataset=mnist_5k", "benchmark.tasks=[[5,6]]", f"output={path}"])
    assert path.read_bytes() != first and capsys.readouterr().out.splitlines()[-1] == str(path)


@pytest.mark.parametrize("typed", ["", " "])
def test_an_empty_output_is_one_line(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*DIGITS, f"output={typed}"])
    assert capsys.readouterr().err == "hnet_cl.data: output=: is empty; give a file, as output=tasks.png\n"

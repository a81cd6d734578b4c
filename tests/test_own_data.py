"""A dataset and a protocol of a user's own: one Python file and one yaml each, with any of ours."""

import sys
from pathlib import Path

import pytest
from in_process import command
from marks import thinned
from processes import folder_of, in_process, result_of

DATASET = """
import torch
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.identity import DataIdentity


class Stripes(Dataset):
    \"\"\"Images with one bright row, whose number is the class.\"\"\"

    class Settings(Dataset.Settings):
        side: int

    def load(self):
        side = self.settings.side
        images = (255 * torch.eye(side, dtype=torch.uint8))[:, None, :, None].repeat(10, 1, 1, side)
        part = Part(images, torch.arange(side).repeat(10))
        return Data(part, part, [f"row {row}" for row in range(side)], DataIdentity("stripes", "drawn", f"{side}"))
"""
PROTOCOL = """
from hnet_cl.benchmarks.base import Protocol, Split, Task
from hnet_cl.core import settings
from hnet_cl.datasets.base import examples


class Inverted(Protocol):
    \"\"\"Every other task has its inputs inverted.\"\"\"

    class Settings(settings.Settings):
        name: str
        num_tasks: settings.TaskCount

    def __init__(self, settings, dataset, device):
        data = examples(dataset)
        self.data, self.in_shape, encoder = data.identity, data.in_shape, dataset.encoder(device)
        self.tasks = []
        for task in range(settings.num_tasks):
            prepare = encoder if task % 2 == 0 else lambda images: 1 - encoder(images)
            train, test = (Split(part.images.to(device), part.labels.to(device), prepare) for part in data[:2])
            self.tasks.append(Task(task, f"task {task}", train, test, len(data.class_names)))
""".replace("data[:2]", "(data.train, data.test)")
QUICK = ("target=mlp_10", "method=finetune", "device.threads=1")
SHORT = (*QUICK, "training.iterations=30", "training.lr=0.01")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The word that adds a folder with both."""
    for name, text in (("stripes.py", DATASET), ("inverted.py", PROTOCOL)):
        (tmp_path / name).write_text(text)
        monkeypatch.delitem(sys.modules, name[:-3], raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for group, text in (
        ("dataset", "# Rows\n_target_: stripes.Stripes\nname: mine\nside: 6\n"),
        (
            "benchmark",
            "# @package _global_\n# Inverted\nbenchmark:\n  _target_: inverted.Inverted\n  name: mine\n  num_tasks: 2\n"
            "training:\n  iterations: 30\n  batch_size: 32\n  lr: 0.01\n",
        ),
    ):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / "mine.yaml").write_text(text)
    return "--config-dir=conf"


def test_a_dataset_of_ones_own_under_a_protocol_of_ours(own: str) -> None:
    folder = folder_of(in_process(own, "benchmark=split", "dataset=mine", *SHORT))
    result = result_of(folder)
    assert folder.parts[-3] == "split_mine-cl1-finetune"
    assert [task["name"] for task in result["tasks"]] == ["row 0, row 1", "row 2, row 3", "row 4, row 5"]
    assert result["data"]["name"] == "stripes" and result["in_shape"] == [1, 6, 6]
    assert [row[task] for task, row in enumerate(result["accuracy_matrix"])] == [1.0, 1.0, 1.0]


def test_a_protocol_of_ones_own_of_a_dataset_of_ours(own: str) -> None:
    folder = folder_of(in_process(own, "benchmark=mine", "dataset=mnist_5k", *QUICK))
    result = result_of(folder)
    assert folder.parts[-3] == "mine_mnist_5k-cl1-finetune"
    assert (result["data"]["name"], result["num_tasks"], result["status"]) == ("mnist-5k", 2, "finished")
    assert result["dataset"] == "mnist_5k"
    assert result["accuracy_matrix"][0][0] > 0.2, "more than chance"


MISTAKES = [
    (
        ["benchmark=mine"],
        "benchmark=mine: makes tasks of a dataset, and none is chosen; choose one, as dataset=mnist",
    ),
    (
        ["benchmark=toy", "dataset=mine"],
        "dataset=mine: benchmark=toy has data of its own; leave dataset out (or ",
    ),
    (
        ["benchmark=f_celeba", "dataset=mine"],
        "benchmark=f_celeba_mine: makes tasks of a dataset of the kind CelebA, and dataset=mine is none; choose "
        "one, as dataset=celeba",
    ),
    (
        ["benchmark=split", "dataset=mine", "dataset.sid=3"],
        "dataset.sid: dataset=mine has no such key; did you mean",
    ),
    (["benchmark=split", "dataset=mine", "dataset.side=x"], "dataset.side=x: input should be a valid integer"),
    (
        ["benchmark=split", "dataset=mine", "dataset.name=x"],
        "dataset.name=x: a run is called by the files that it ",
    ),
    (["benchmark=split", "dataset=mint"], "dataset=mint: no such choice; did you mean mi"),
    (
        ["benchmark=split", "benchmark.num_tasks=4", "benchmark.classes_per_task=3"],
        "benchmark.num_tasks=4 times benchmark.classes_per_task=3 is more than the 10 classes of dataset=mnist: ",
    ),
    (
        ["benchmark=smnist", "benchmark.source=ful"],
        "dataset.source=ful: input should be 'auto', 'full' or 'embedded'",
    ),
    (
        ["benchmark=mine", "benchmark.source=full", "dataset=mnist"],
        "benchmark.source: benchmark=mine has no such key",
    ),
]


@pytest.mark.parametrize(("words", "line"), thinned(MISTAKES, 3))
def test_what_does_not_go_together_is_one_line(words: list[str], line: str, own: str, tmp_path: Path) -> None:
    ended = command(tmp_path, own, *words)
    assert len(ended.lines) == 1 and ended.lines[0].startswith(line), ended.err


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            "Part(images, torch.arange(side).repeat(9))",
            "60 examples and labels torch.int64 of shape (54,); expected an",
        ),
        ("Part(images, torch.arange(side).repeat(10) + 1)", "labels from 1 to 6, and 6 class_names; expected 0 to 5"),
        (
            "Part(images.double(), torch.arange(side).repeat(10))",
            "training data are torch.float64; expected torch.uint8",
        ),
        ("Part(images[:0], torch.arange(0))", "training data are empty; expected at least one example"),
    ],
)
def test_data_with_a_fault_are_one_line(change: str, line: str, own: str, tmp_path: Path) -> None:
    (tmp_path / "stripes.py").write_text(DATASET.replace("Part(images, torch.arange(side).repeat(10))", change))
    done = in_process(own, "benchmark=split", "dataset=mine", *SHORT)
    assert done.returncode == 2 and done.stderr.startswith("hnet_cl: dataset=mine: training data")
    assert line in done.stderr and done.stderr.count("\n") == 1

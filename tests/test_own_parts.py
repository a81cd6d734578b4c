"""Benchmarks and networks of a user's own with faults: one line before anything is trained, and nothing is left."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import run
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from processes import hnet_cl, in_process, mistake, result_of
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Benchmark, Task
from hnet_cl.benchmarks.toy import GaussianBlobs
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError

FAULTS = {
    "none": lambda task: task,
    "no training data": lambda task: replace(task, train=task.train.part(torch.arange(0))),
    "no test data": lambda task: replace(task, test=task.test.part(torch.arange(0))),
    "global labels": lambda task: replace(task, train=replace(task.train, labels=task.train.labels + 2 * task.id)),
    "few names": lambda task: replace(task, class_names=["only one"]),
    "few labels": lambda task: replace(task, train=replace(task.train, labels=task.train.labels[1:])),
}
LINES = {
    "no training data": "task 2 (blobs 1), training data: it is empty; expected at least one example",
    "no test data": "task 2 (blobs 1), test data: it is empty; expected at least one example",
    "global labels": "task 2 (blobs 1), training data: labels from 2 to 3; expected int64 of shape (100,) in 0..1",
    "few names": "task 2 (blobs 1): 1 class_names and num_classes=2; expected a name for each class",
    "few labels": "task 2 (blobs 1), training data: 100 images and 99 labels; expected a label for each image",
}


class Faulty(Benchmark):
    """The toy benchmark with a fault in its second task."""

    class Settings(base.Settings):
        name: str
        fault: str

    def __init__(self, settings: Any, dataset: None, device: torch.device) -> None:
        if settings.fault == "constructor":
            raise KeyError("images")
        toy = GaussianBlobs.Settings(
            name="toy", num_tasks=2, num_classes=2, train_per_class=50, test_per_class=50, spread=0.1, seed=1
        )
        blobs = GaussianBlobs(toy, dataset, device)
        change: Any = FAULTS[settings.fault]
        self.tasks: list[Task] = [blobs.tasks[0], change(blobs.tasks[1])]
        self.data, self.in_shape = blobs.data, blobs.in_shape


class Parts(nn.Module):
    """Two layers of one size, in this order or the other; with `spoilt`, NaN in evaluation mode for some inputs."""

    swapped = False

    def __init__(self, in_shape: Any, num_outputs: int, spoilt: bool = False) -> None:
        super().__init__()
        names = ["second", "first"] if self.swapped else ["first", "second"]
        for name in names:
            self.add_module(name, nn.Linear(2, 2))
        self.last = nn.Linear(2, num_outputs)
        self.spoilt = spoilt

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.get_submodule("second")(self.get_submodule("first")(x).relu()).relu())
        if self.spoilt and not self.training and len(x) > 2:
            return torch.where(x[:, :1] > 0, torch.nan, logits)
        return logits


OF_METHODS = {"pixel_noise": None, "fisher_samples": None}  # what every benchmark has


def config(fault: str = "none", target: Any = None, **training: Any) -> dict[str, Any]:
    overrides = ["benchmark=toy", "method=finetune", "training.iterations=5", "device.threads=1"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        plain: Any = OmegaConf.to_container(compose("config", overrides), resolve=True)
    made: dict[str, Any] = deepcopy(plain)
    made["benchmark"] = {"_target_": f"{__name__}.Faulty", "name": "mine", "fault": fault, **OF_METHODS}
    made["training"] |= training
    return made | ({"target": {"_target_": f"{__name__}.Parts", **target}} if target is not None else {})


@pytest.mark.parametrize("training", [{}, {"validation": 0.2, "shuffle_tasks": True}])
@pytest.mark.parametrize("fault", LINES)
def test_a_faulty_task_is_refused_before_anything_is_made(fault: str, training: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run(config(fault, **training), tmp_path, [])
    assert str(caught.value).startswith(f"benchmark=mine: {LINES[fault]}")
    assert not [path for path in tmp_path.rglob("*") if path.name != ".lock"]


def test_a_constructor_that_raises_is_one_line(tmp_path: Path) -> None:
    line = r"^benchmark=mine: its constructor raises KeyError: 'images'; debug=true shows where$"
    with pytest.raises(UserError, match=line):
        run(config("constructor"), tmp_path, [])


def test_answers_that_are_nan_leave_no_accuracy(tmp_path: Path) -> None:
    line = (
        r"^training diverged: \d+ of 100 answers to test examples of blobs 0 rest on numbers that are NaN or infinite"
    )
    with pytest.raises(UserError, match=line):
        run(config(target={"spoilt": True}), tmp_path, [])
    result = result_of(tmp_path)
    assert (result["status"], result["accuracy_matrix"], result["metrics"]["acc"]) == ("failed", [], None)
    assert "rest on numbers that are NaN" in result["error"]


@pytest.mark.parametrize("fresh", [False, True])
def test_a_network_with_its_parameters_in_another_order_does_not_continue(
    fresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config(target={}), tmp_path, [])
    (tmp_path / "result.json").write_text(json.dumps(result_of(tmp_path) | {"status": "interrupted"}))
    monkeypatch.setattr(Parts, "swapped", True)
    again = config(target={}) | {"fresh": fresh}
    if fresh:
        assert run(again, tmp_path, [])["status"] == "finished"
        return
    line = r"where it has network\.first\.weight \(2, 2\), there is network\.second\.weight \(2, 2\) now\); give"
    with pytest.raises(UserError, match=line):
        run(again, tmp_path, [])


OWN_YAML = """\
# @package _global_
benchmark:
  _target_: test_own_parts.Faulty
  name: mine
  fault: none
training:
  iterations: 20
  batch_size: 32
  lr: 1.0e-2
"""


@pytest.fixture
def own(tmp_path: Path) -> list[str]:
    """The words that choose the benchmark of this file."""
    (tmp_path / "conf" / "benchmark").mkdir(parents=True)
    (tmp_path / "conf" / "benchmark" / "mine.yaml").write_text(OWN_YAML)
    return [
        f"--config-dir={tmp_path / 'conf'}",
        "benchmark=mine",
        f"output_dir={tmp_path / 'runs'}",
        "device.threads=1",
    ]


HERE = str(Path(__file__).parent)


@pytest.mark.slow
def test_an_empty_training_split_ends_as_a_process(own: list[str], tmp_path: Path) -> None:
    line = mistake(*own, "benchmark.fault=no training data", PYTHONPATH=HERE)
    assert line == f"benchmark=mine: {LINES['no training data']}"
    (folder,) = (path.parent for path in tmp_path.rglob("result.json"))
    result = result_of(folder)
    assert (result["status"], result["error"], result["tasks_done"]) == ("failed", line, 0)
    assert not list(folder.glob("checkpoint/*")) and not list(folder.glob("metrics.csv"))


@pytest.mark.slow
def test_the_other_jobs_of_a_sweep_go_on(own: list[str], tmp_path: Path) -> None:
    faults = "benchmark.fault=" + ",".join(["none", *LINES])
    done = hnet_cl(*own, "-m", faults, PYTHONPATH=HERE)
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout
    results = [result_of(path.parent) for path in tmp_path.rglob("result.json")]
    errors = sorted(str(result["error"]).removeprefix("benchmark=mine: ") for result in results)
    assert len(errors) == len(LINES) + 1
    assert [result["status"] for result in results].count("finished") == 1
    assert all(any(error.startswith(line) for error in errors) for line in LINES.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        *(f"method={method} scenario=cl1" for method in ("hnet", "ewc", "si", "joint", "scratch")),
        "method=hnet_ent scenario=cl3",
        "method=hnet_tir scenario=cl3 method.task_inference.generator.pixel_noise=0.1",
        "method=dgr scenario=cl3 method.generator.pixel_noise=0.1",
    ],
)
def test_nan_answers_end_every_method(own: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "conf" / "target").mkdir()
    (tmp_path / "conf" / "target" / "parts.yaml").write_text("_target_: test_own_parts.Parts\nspoilt: true\n")
    done = in_process(*own, *words.split(), "target=parts")
    line = done.stderr
    assert done.returncode == 2 and line.startswith("hnet_cl: ") and line.count("\n") == 1
    assert "of 100 answers to test examples of blobs 0 rest on numbers that are NaN or infinite" in line

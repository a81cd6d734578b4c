"""A user's own method, data set, protocol, target, task inference, regulariser, optimiser and logger in one run."""

import hashlib
import re
from pathlib import Path

import pytest
import yaml
from processes import folder_of, in_process, result_of

from hnet_cl.config.conf_files import conf_dir

MODULES = {
    "own_method": """
from hnet_cl.methods.hnet import HNet

class Own(HNet):
    pass
""",
    "own_dataset": """
import torch
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.identity import DataIdentity

class Own(Dataset):
    def load(self):
        labels = torch.arange(80) % 4
        part = Part(torch.nn.functional.one_hot(labels, 5).float(), labels)
        return Data(part, part, list("abcd"), DataIdentity("own", "drawn", "1"))
""",
    "own_protocol": """
from hnet_cl.benchmarks.split import SplitClasses

class Own(SplitClasses):
    pass
""",
    "own_target": """
from torch import nn

class Own(nn.Sequential):
    def __init__(self, in_shape, num_outputs, width: int):
        super().__init__(nn.Linear(in_shape[0], width), nn.Tanh(), nn.Linear(width, num_outputs))
""",
    "own_inference": """
from hnet_cl.methods.parts.inference import Inferred, TaskInference

class Own(TaskInference):
    def infer(self, candidates):
        score, task = candidates.logits.amax(2).max(0)
        return Inferred(task, score)
""",
    "own_regularizer": """
from hnet_cl.hypernet import ExplicitRegularizer

class Own(ExplicitRegularizer):
    pass
""",
    "own_optimizer": """
import torch

class Own(torch.optim.SGD):
    pass
""",
    "own_logger": """
from hnet_cl.records.logger import Logger

class Own(Logger):
    def row(self, state):
        with (state.folder / "own.txt").open("a") as file:
            print(state.learned, file=file)
""",
}
YAMLS = {
    "method/own.yaml": """
defaults:
  - hnet
  - override task_inference: own
  - override regularizer: own
  - _self_
_target_: own_method.Own
""",
    "dataset/own.yaml": "_target_: own_dataset.Own\nname: own\n",
    "benchmark/own.yaml": """
# @package _global_
defaults:
  - split
  - _self_
benchmark:
  _target_: own_protocol.Own
  classes_per_task: 2
training:
  iterations: 30
  batch_size: 16
  lr: 0.01
""",
    "target/own.yaml": "_target_: own_target.Own\nwidth: 8\n",
    "method/task_inference/own.yaml": "_target_: own_inference.Own\n",
    "method/regularizer/own.yaml": "_target_: own_regularizer.Own\nsampled_tasks: null\n",
    "optimizer/own.yaml": "_target_: own_optimizer.Own\nmomentum: 0.5\n",
    "logger/own.yaml": "own:\n  _target_: own_logger.Own\n",
}
CHOICES = ("benchmark=own", "dataset=own", "method=own", "target=own", "optimizer=own", "logger=own", "scenario=cl3")


def shipped() -> dict[Path, str]:
    """Checksums of all files of ours."""
    package = Path(__file__).parents[1] / "hnet_cl"
    files = [*package.rglob("*.py"), *conf_dir().rglob("*.yaml")]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_one_python_file_and_one_yaml_each_and_no_file_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shipped()
    conf = tmp_path / "conf"
    for module, code in MODULES.items():
        (tmp_path / f"{module}.py").write_text(code)
    for name, text in YAMLS.items():
        (conf / name).parent.mkdir(parents=True, exist_ok=True)
        (conf / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    done = in_process(f"--config-dir={conf}", *CHOICES, "device.threads=1", f"output_dir={tmp_path / 'outputs'}")
    run = folder_of(done)
    config = yaml.safe_load((run / ".hydra" / "config.yaml").read_text())
    named = set(re.findall(r"_target_: (own_\w+)\.Own", (run / ".hydra" / "config.yaml").read_text()))
    assert named == set(MODULES) and len(MODULES) == len(YAMLS) == 8
    assert config["method"]["regularizer"]["_target_"] == "own_regularizer.Own"
    result = result_of(run)
    assert (result["status"], result["method"], result["tasks_done"]) == ("finished", "own", 2)
    assert result["metrics"]["task_inference"] is not None
    assert (run / "own.txt").read_text() == "1\n2\n"
    assert shipped() == before and len(before) > 200

"""A task-inference rule of a user's own: the example of CONTRIBUTING, from the command line to predict."""

import csv
import re
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import folder_of, hnet_cl, in_process, result_of
from torch import Tensor

from hnet_cl.methods.hnet import HNet
from hnet_cl.predict.cli import main as predict

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
SHORT = ("benchmark=toy", "method=hnet", "benchmark.num_tasks=2", "training.iterations=20", "training.log_every=1")


def block(start: str) -> str:
    """The block of CONTRIBUTING whose first line is a comment with this path."""
    (found,) = re.findall(rf"```\w+\n# {re.escape(start)}\n(.*?)```", TEXT, re.DOTALL)
    return str(found)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that choose the rule, which is one Python file and one yaml."""
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "margin.py").write_text(block("my_package/margin.py"))
    (tmp_path / "my_conf" / "method" / "task_inference").mkdir(parents=True)
    yaml = tmp_path / "my_conf" / "method" / "task_inference" / "margin.yaml"
    yaml.write_text(block("my_conf/method/task_inference/margin.yaml"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return [*SHORT, f"--config-dir={tmp_path / 'my_conf'}", "method/task_inference=margin"]


def interrupted(*arguments: str) -> None:
    """Begins a run that SIGTERM ends in its second task."""
    step, steps = HNet.step, count()

    def last(learner: HNet, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        if next(steps) == 30:
            signal.raise_signal(signal.SIGTERM)
        return step(learner, inputs, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HNet, "step", last)
        assert in_process(*arguments).returncode == 143


@pytest.mark.parametrize("scenario", ["cl2", "cl3"])
@pytest.mark.slow
def test_trains_goes_on_and_predicts(
    scenario: str, own: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two classes it says what the entropy says: both depend on the distance of the two logits alone."""
    chosen = [f"scenario={scenario}", f"output_dir={tmp_path}", "method.task_inference.temperature=5"]
    other = folder_of(in_process(*SHORT, "method=hnet_ent", *chosen))
    interrupted(*own, *chosen)
    folder = folder_of(in_process(*own, *chosen))
    assert (folder / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    result, expected = result_of(folder), result_of(other)
    assert result["status"] == "finished" and result["accuracy_matrix"] == expected["accuracy_matrix"]
    assert result["inferred_tasks"] == expected["inferred_tasks"]
    assert np.any(result["inferred_tasks"], axis=0).sum() > 1, "there is something to infer"
    np.save(tmp_path / "x.npy", torch.randn(5, 2).numpy())
    predict([f"run={folder}", f"input={tmp_path / 'x.npy'}", "trust=my_package"])
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(rows) == 5
    for row in rows:  # the log-odds of the more probable class, at temperature 5
        margin = 5 * float(row["task_score"])
        assert float(row["confidence"]) == pytest.approx(1 / (1 + np.exp(-margin)), abs=1e-5)


@pytest.mark.slow
def test_its_keys_are_checked(own: list[str]) -> None:
    key = "method.task_inference.temperature"
    for word, line in {
        f"{key}=-1": f"{key}=-1: input should be greater than 0",
        "method.task_inference.temprature=1": "method.task_inference.temprature: method=hnet has no such key; "
        f"did you mean {key}?",
    }.items():
        done = in_process(*own, "scenario=cl3", word)
        assert (done.returncode, done.stderr) == (2, f"hnet_cl: {line}\n")


@pytest.mark.slow
def test_as_processes(own: list[str], tmp_path: Path) -> None:
    shown = hnet_cl(*own[len(SHORT) : -1], "--help").stdout
    assert "method/task_inference=margin The task whose network has its first choice furthest" in " ".join(
        shown.split()
    )
    folder = folder_of(hnet_cl(*own, "scenario=cl3", f"output_dir={tmp_path}"))
    np.save(tmp_path / "x.npy", torch.randn(5, 2).numpy())
    words = [sys.executable, "-m", "hnet_cl.predict", f"run={folder}", f"input={tmp_path / 'x.npy'}"]
    refused = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert refused.returncode == 2 and "if you trust it, add trust=my_package" in refused.stderr
    done = subprocess.run([*words, "trust=my_package"], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.startswith("file,label,task,confidence,task_score\n") and len(done.stdout.splitlines()) == 6

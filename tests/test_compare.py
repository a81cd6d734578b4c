"""`python -m hnet_cl.compare` as a process, and the function of that name: from data and a network to the table."""

import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from hnet_cl import compare
from hnet_cl.core.errors import UserError

SMALL = ("dataset=blobs", "target=mlp_10", "benchmark.num_tasks=2", "training.iterations=3", "device.threads=1")


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "hnet_cl.compare", *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    words = (*SMALL, "method=finetune,joint", "seed=1", "hydra/launcher=basic", "hydra.sweeper.report=table")
    done = command(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"python -m hnet_cl experiment=compare {' '.join(words)} hydra/sweeper=compare --multirun"
    assert lines[-1] == "table/index.html" and (tmp_path / "table" / "figure.pdf").is_file()
    wrong = command(tmp_path, "dataset=blobs", "network=blobs.Nothing")
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
    assert wrong.stderr.startswith("hnet_cl: network=blobs.Nothing: cannot be imported (")


class Own(nn.Sequential):
    """Knows nothing of tasks."""

    def __init__(self, width: int = 3) -> None:
        super().__init__(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 5))


@pytest.mark.slow
def test_the_function_trains_and_compares_these_runs_alone(tmp_path: Path) -> None:
    more = {"benchmark.num_tasks": 2, "training.iterations": 3, "device.threads": 1, "output_dir": tmp_path}
    first = compare(dataset="blobs", network=Own, methods="finetune", seeds=2, **more)
    assert first.frame["method"].tolist() == ["finetune"]
    assert [(run.value("target"), run.value("seed")) for run in first.selection.runs] == [("Own", "1"), ("Own", "2")]
    other = compare(dataset="blobs", network=Own(), methods=["finetune"], seeds=[1], **more)
    (run,) = other.selection.runs
    assert str(run.value("target")).startswith("Own_") and run.value("parameters.target") == str(2 * 3 + 3 + 3 * 4 + 4)
    assert len(compare(tmp_path).selection.runs) == 3


def test_folders_and_arrays_are_told_apart(tmp_path: Path) -> None:
    line = r"^compare: give folders alone, or two arrays, examples and their labels, and what to train$"
    for given in ((tmp_path, tmp_path), ([[1.0]],), ([[1.0]], [0], [1])):
        with pytest.raises(UserError, match=line):
            compare(*given, seeds=1)

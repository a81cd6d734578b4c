"""The scripts and the notebook in examples run as they stand, and say what they promise."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[1] / "examples"
SAYS = {
    "run_and_load": r"task 3: norm of the generated weights \d+\.\d\d\ntask 1 says \['\d', '\d'\] with confidence",
    "compare_methods": r"\| HNET \| \*\*\d+\.\d\d ± \d\.\d\d\*\* \(2\) \|",
    "export_network": r"task_2\.pt answers \[(\d), (\d)\], the learner \['\1', '\2'\]",
}

pytestmark = pytest.mark.slow


def test_all_are_tried() -> None:
    there = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    others = {"notebook.ipynb", "frozen_convolutions.py", "hypercrl.py"}  # the latter in test_hypercrl.py
    assert there == {*(f"{name}.py" for name in SAYS), *others}


@pytest.mark.parametrize("name", SAYS)
def test_a_script(name: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, EXAMPLES / f"{name}.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(SAYS[name], done.stdout), done.stdout
    assert done.stderr == ""


@pytest.mark.filterwarnings("ignore")  # of Jupyter about its own parts
def test_the_notebook(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not kept"
    done = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    shown = [output.get("data", {}) for output in outputs]
    assert any("image/png" in data for data in shown)
    assert "| HNET | 100.00 (1) |" in shown[-1]["text/markdown"]
    text = "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)
    assert "task 3/3 (blobs 2): accuracy 100.00 %, mean 100.00 %" in text  # progress


def test_the_frozen_convolutions_are_those_that_are_published() -> None:
    spec = importlib.util.spec_from_file_location("frozen_convolutions", EXAMPLES / "frozen_convolutions.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Convolutions()
    names = [
        f"convLayer{layer}.{part}" for layer in range(1, 6) for part in ("conv", "bn") if (layer, part) != (5, "bn")
    ]
    assert sorted({name.rpartition(".")[0] for name in network.state_dict()}) == sorted(names)
    assert sum(parameter.numel() for parameter in network.parameters()) == 393_088
    images = torch.rand(2, 3, 32, 32)
    features = network.eval()(images)
    assert features.shape == (2, 1024) and (features < 0).any()

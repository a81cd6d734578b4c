"""A regulariser of a user's own is one Python file and one yaml, for classifiers and generators alike."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from processes import folder_of, in_process, losses_of, result_of

CODE = """
import torch

from hnet_cl.hypernet import OutputRegularizer


class Mine(OutputRegularizer):
    def __init__(self, *given, scale: float):
        super().__init__(*given)
        self.scale = scale
        with torch.no_grad():
            self.before = [self.weights(self.hypernetwork.theta, old) for old in range(len(self.embeddings))]

    def __call__(self, theta):
        total = torch.zeros(())
        for old, before in enumerate(self.before):
            total = total + (self.weights(theta, old) - before).square().sum()
        return self.scale * total / len(self.before)
"""
YAML = "# A copy of the explicit sum\n_target_: parts_of_my_own.Mine\nscale: 1.0   # what the sum is multiplied by\n"
PLACES = {"hnet": "method.regularizer", "hnet_r": "method.generator.regularizer"}
SHORT = ["benchmark.num_tasks=3", "training.iterations=12", "training.log_every=1", "device.threads=1"]


def add(folder: Path, code: str, module: str, yaml: str, name: str) -> str:
    """Writes a regulariser's two files; the flag that finds the yaml."""
    target = folder.joinpath(*module.split(".")).with_suffix(".py")
    group = folder / "conf" / "method" / "regularizer"
    for place, text in ((target, code), (group / f"{name}.yaml", yaml)):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return f"--config-dir={folder / 'conf'}"


def trained(folder: Path, *words: str) -> tuple[Any, str]:
    """Accuracy matrix and losses of a short run."""
    run = folder_of(in_process(*SHORT, *words, f"output_dir={folder}"))
    return result_of(run)["accuracy_matrix"], losses_of(run)


def drifts(losses: str) -> list[float]:
    """The regulariser's value at each step."""
    rows = csv.DictReader(losses.splitlines())
    return [float(row["value"]) for row in rows if row["name"].endswith("regularizer")]


@pytest.mark.parametrize("method", ["hnet", "hnet_r"])
@pytest.mark.slow
def test_a_copy_of_the_explicit_sum_trains_bit_for_bit_as_that(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    flag = add(tmp_path, CODE, "parts_of_my_own", YAML, "mine")
    words = flag, "benchmark=toy", f"method={method}", f"method.{'generator.' if method == 'hnet_r' else ''}strength=1"
    explicit = trained(tmp_path / "explicit", *words, f"{PLACES[method]}=explicit")
    mine = trained(tmp_path / "mine", *words, f"{PLACES[method]}=mine")
    assert mine == explicit
    assert max(drifts(mine[1])) > 1e-3


@pytest.mark.slow
def test_the_example_for_contributors_protects_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    part = text.partition("## A new regulariser\n")[2].partition("\n## ")[0]
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", part, re.DOTALL))
    monkeypatch.syspath_prepend(tmp_path)
    flag = add(tmp_path, blocks["python"], "my_package.absolute", blocks["yaml"], "absolute")
    for number, command in enumerate(blocks["sh"].splitlines()):
        start, _, words = command.partition(" my_conf ")
        assert start == "python -m hnet_cl --config-dir"
        _, losses = trained(tmp_path / str(number), flag, *words.split())
        assert len(drifts(losses)) == 24 and min(drifts(losses)) > 0

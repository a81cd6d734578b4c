"""The checks for people's own parts find what is wrong with them, and nothing else."""

from itertools import product
from pathlib import Path

import pytest

from hnet_cl.core.errors import UserError
from hnet_cl.testing import check_benchmark, check_dataset, check_learner

METHOD = """
import torch
from hnet_cl.methods.finetune import Finetune

class Own(Finetune):
    def begin_task(self, tasks):
        super().begin_task(tasks)
        self.seen = 0

    def step(self, inputs, labels, tasks=None):
        self.seen += 1
        {step}
        return super().step(inputs, labels, tasks)

    @torch.no_grad()
    def predict(self, inputs, task=None):
        {predict}
        return super().predict(inputs, task)
"""
DATASET = """
import torch
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.identity import DataIdentity

class Own(Dataset):
    def load(self):
        labels = torch.arange(40) % 4
        images = {images}
        part = Part(images, labels)
        return Data(part, part, list("abcd"), DataIdentity("own", "drawn", "1"))
"""


def write(folder: Path, group: str, name: str, code: str, yaml: str) -> None:
    (folder / group).mkdir()
    (folder / f"{name}.py").write_text(code)
    (folder / group / f"{name}.yaml").write_text(yaml)


def method(folder: Path, name: str, step: str = "pass", predict: str = "pass") -> None:
    yaml = f"defaults:\n  - finetune\n  - _self_\n_target_: {name}.Own\n"
    write(folder, "method", name, METHOD.format(step=step, predict=predict), yaml)


@pytest.mark.parametrize("name", ["hnet_ent", "scratch", "gpm"])
@pytest.mark.slow
def test_shipped_methods_pass(name: str) -> None:
    check_learner(f"method={name}", scenarios=["cl1", "cl3"])


@pytest.mark.parametrize(
    ("rule", "method_name"),
    [
        *product(["max_logit", "energy", "entropy_gradient", "classifier"], ["hnet", "scratch"]),
        *product(["energy", "entropy_gradient"], ["supsup"]),
        ("agreement", "hnet_posterior"),
    ],
)
@pytest.mark.slow
def test_shipped_rules_pass(rule: str, method_name: str) -> None:
    check_learner(f"method={method_name}", f"method/task_inference={rule}", scenarios=["cl3"])


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [
        ("sound", {}, None),
        ("forgetful", {"step": "inputs = inputs * self.seen"}, "continued in the middle of a task"),
        ("random_own", {"step": "inputs = inputs + torch.rand(1, generator=GENERATOR)"}, "two runs with the same seed"),
        ("moving", {"predict": "self.weights[0].add_(1)"}, "predict changes the learner's state"),
    ],
)
def test_what_is_wrong_with_a_method_is_found(
    name: str, what: dict[str, str], said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    method(tmp_path, name, **what)
    if "random" in name:
        path = tmp_path / f"{name}.py"
        path.write_text(path.read_text().replace("class Own", "GENERATOR = torch.Generator()\n\nclass Own"))
    if said is None:
        check_learner(f"method={name}", config_dir=tmp_path, scenarios=["cl2"])
        return
    with pytest.raises(AssertionError, match=said):
        check_learner(f"method={name}", config_dir=tmp_path, scenarios=["cl2"])


def test_a_method_without_a_scenario_is_refused() -> None:
    with pytest.raises(AssertionError, match="no scenario is supported"):
        check_learner("method=packnet", scenarios=["cl2", "cl3"])


@pytest.mark.parametrize(
    ("name", "images", "said"),
    [
        ("ones", "labels.float()[:, None].repeat(1, 3)", None),
        ("noise", "torch.rand(40, 3)", "examples differ between two constructions"),
    ],
)
def test_a_data_set_is_the_same_every_time(
    name: str, images: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, "dataset", name, DATASET.format(images=images), f"_target_: {name}.Own\nname: {name}\n")
    if said is None:
        check_dataset(name, config_dir=tmp_path)
        return
    with pytest.raises(AssertionError, match=said):
        check_dataset(name, config_dir=tmp_path)


@pytest.mark.slow
def test_shipped_benchmarks_pass_and_mistakes_are_lines() -> None:
    check_benchmark("toy", "benchmark.num_tasks=2")
    check_benchmark("permuted", "dataset=mnist_5k", "benchmark.num_tasks=2")
    with pytest.raises(UserError, match=r"did you mean toy\?"):
        check_benchmark("toyy")

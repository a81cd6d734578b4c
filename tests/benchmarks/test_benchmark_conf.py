"""The configurations of benchmarks and target networks: complete, valid, described."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from hnet_cl.benchmarks.base import Benchmark

CONF = Path(__file__).parents[2] / "conf"
BENCHMARKS = sorted((CONF / "benchmark").glob("*.yaml"))
GENERIC = {"split", "permuted", "rotated"}  # named after whatever data they are of
DATASETS = sorted((CONF / "dataset").glob("*.yaml"))
TARGETS = sorted((CONF / "target").glob("*.yaml"))


def content(path: Path) -> dict[str, Any]:
    """What a yaml says, with what it inherits from another one of its folder."""
    loaded = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(loaded, dict)
    own = {str(key): value for key, value in loaded.items()}
    parents = [entry for entry in own.get("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    for parent in map(content, (path.with_name(f"{name}.yaml") for name in parents)):
        overridden = {key for entry in own["defaults"] if isinstance(entry, dict) for key in entry}
        kept = [entry for entry in parent["defaults"] if not overridden & entry.keys()]
        own["defaults"] = [*kept, *(entry for entry in own["defaults"] if isinstance(entry, dict))]
        for key in ("benchmark", "training"):
            own[key] = parent[key] | own.get(key, {})
        own.setdefault("usual_dataset", parent.get("usual_dataset"))
    return own


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmark_settings_are_valid_and_complete(path: Path) -> None:
    chosen = content(path)["benchmark"]
    module, _, name = chosen.pop("_target_").rpartition(".")
    benchmark = getattr(import_module(module), name)
    assert issubclass(benchmark, Benchmark)
    chosen = {key: value for key, value in chosen.items() if key not in ("pixel_noise", "fisher_samples")}  # of methods
    assert benchmark.Settings(**chosen).name == path.stem


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_benchmark_names_its_training_and_an_existing_target(path: Path) -> None:
    chosen = content(path)
    groups = {key.removeprefix("override /"): name for entry in chosen["defaults"] for key, name in entry.items()}
    assert groups.keys() <= {"target", "dataset"} and "target" in groups
    assert all((CONF / group / f"{name}.yaml").is_file() for group, name in groups.items())
    if path.stem in GENERIC:
        assert chosen.get("usual_dataset") is None
    else:
        assert chosen.get("usual_dataset") == groups.get("dataset")
    length = {"iterations", "epochs"} & set(chosen["training"])
    assert len(length) == 1, "steps or sweeps"
    assert set(chosen["training"]) - length - {"eval_batch_size", "shuffle_tasks"} == {"batch_size", "lr"}
    # Hydra reads the package only from the first line; the line after it describes the choice.
    lines = path.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert re.fullmatch(r"# [A-Z].{20,}", lines[1])


@pytest.mark.parametrize("path", [*BENCHMARKS, *DATASETS, *TARGETS], ids=lambda path: path.stem)
def test_every_value_is_explained(path: Path) -> None:
    values = [
        line for line in path.read_text().splitlines() if re.match(r"\s*(- )?\w.*: \S", line) and "_target_" not in line
    ]
    assert values or path.stem == "module", "whose keys are those of the network that is chosen"
    assert [line for line in values if "  # " not in line] == []


@pytest.mark.parametrize(
    ("name", "tasks", "target", "dataset", "training"),
    [
        ("pmnist", 10, "mlp_1000", "mnist", {"iterations": 5000, "batch_size": 128, "lr": 1e-4}),
        ("pmnist100", 100, "mlp_1000", "mnist", {"iterations": 5000, "batch_size": 128, "lr": 1e-4}),
        ("smnist", 5, "mlp_400", "mnist", {"iterations": 2000, "batch_size": 128, "lr": 1e-3}),
        (
            "split_cifar",
            6,
            "zenke",
            "cifar10_100",
            {"epochs": 80, "batch_size": 256, "lr": 1e-4, "eval_batch_size": 250},
        ),
    ],
)
def test_the_papers_values(name: str, tasks: int, target: str, dataset: str, training: dict[str, float]) -> None:
    chosen = content(CONF / "benchmark" / f"{name}.yaml")
    assert chosen["benchmark"]["num_tasks"] == tasks
    assert chosen["defaults"] == [{"override /target": target}, {"override /dataset": dataset}]
    assert chosen["training"] == training

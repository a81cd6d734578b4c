"""Every method in every scenario on small image files, with batch normalisation and with dropout."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import LAYERWISE, NEED_THE_TASK, NEEDS_SEPARATE_CLASSES, rows_of
from hydra import compose, initialize_config_dir
from marks import few, thinned
from omegaconf import OmegaConf
from tiny_images import TEST_LIST, TRAIN_LIST, write_celeba, write_cifar, write_lists
from torch import Tensor

import hnet_cl.config.resolvers  # noqa: F401  (presets ask for its resolvers)
from hnet_cl import build
from hnet_cl.config.check import check
from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.methods.base import Learner
from hnet_cl.training.evaluation import Row

METHODS, SCENARIOS = (list(choices(conf_dir(), group)) for group in ("method", "scenario"))
ONLY = dict.fromkeys(NEED_THE_TASK, "cl1") | {"icarl": "cl3"}
UNDEFINED = {(method, "cl2") for method in NEEDS_SEPARATE_CLASSES}
RUNNABLE = [pair for pair in product(METHODS, SCENARIOS) if ONLY.get(*pair) == pair[1] and pair not in UNDEFINED]
NORMALISED = [pair for pair in RUNNABLE if pair[0] not in LAYERWISE]
GENERATORS = {
    "hnet_r": "method.generator",
    "dgr": "method.generator",
    "hnet_tir": "method.task_inference.generator",
}
LEARNED = 6  # steps
RESNET = ["target=resnet32", "target.blocks=1", "target.channels=[4,4,8,8]", "dataset.augment=flip_and_crop"]
ZENKE = ["target=zenke", "training.lr=1e-3"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR and F-CelebA of a few images each."""
    folder = tmp_path_factory.mktemp("data")
    write_cifar(folder, classes=10)
    write_lists(write_celeba(folder, 40, [1]), ["0", "1"], 10, 5)
    return folder


def learn(data_dir: Path, *overrides: str) -> tuple[Learner, list[Row]]:
    usual = ["device.threads=1", "training.epochs=null", f"training.iterations={LEARNED}", "training.batch_size=8"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("config", [*usual, *overrides]), resolve=True)
    plan = check(config)
    benchmark = build.build_benchmark(plan, data_dir, torch.device("cpu"))
    learner = build.build_learner(plan, benchmark.in_shape, benchmark.class_counts, torch.device("cpu"))
    return learner, list(rows_of(learner, benchmark.tasks, plan.training, []))


def cifar(data_dir: Path, *overrides: str) -> tuple[Learner, list[Row]]:
    return learn(data_dir, "benchmark=split_cifar", "dataset.verify=none", "benchmark.num_tasks=2", *overrides)


@pytest.mark.parametrize(
    ("method", "scenario"),
    few(NORMALISED, [("hnet", "cl1"), ("hnet_r", "cl3"), ("er", "cl3")]),
)
def test_batch_normalisation(method: str, scenario: str, data_dir: Path) -> None:
    small = ["pixel_noise=0.3", "encoder=[8]", "decoder=[8]", "judge.iterations=5"]  # the pixels are not in 0..1
    generator = [f"{GENERATORS[method]}.{override}" for override in small] if method in GENERATORS else []
    learner, rows = cifar(data_dir, f"method={method}", f"scenario={scenario}", *RESNET, *generator)
    check_rows(rows, method, scenario)
    if method in ("hnet", "hnet_ent", "hnet_tir"):
        statistics: list[dict[str, Tensor]] = [learner.get_extra_state()["task_buffers"][task] for task in range(2)]
        assert [int(own["norm.num_batches_tracked"]) for own in statistics] == [LEARNED, LEARNED]
        assert not torch.equal(statistics[0]["norm.running_mean"], statistics[1]["norm.running_mean"])


@pytest.mark.parametrize(("method", "scenario"), few([("hnet_ent", "cl3"), ("ewc", "cl1")], [("ewc", "cl1")]))
def test_dropout(method: str, scenario: str, data_dir: Path) -> None:
    _, rows = cifar(data_dir, f"method={method}", f"scenario={scenario}", *ZENKE)
    check_rows(rows, method, scenario)


@pytest.mark.parametrize("target", thinned([["target=mlp_10"], RESNET], 2))
@pytest.mark.parametrize(
    ("method", "scenario"),
    few([("hnet_ent", "cl3"), ("ewc", "cl1"), ("si", "cl2"), ("joint", "cl3")], [("hnet_ent", "cl3")]),
)
def test_bfloat16(method: str, scenario: str, target: list[str], data_dir: Path) -> None:
    """Training goes where it goes in float32, by and large, and statistics are kept as well."""
    usual = [f"method={method}", f"scenario={scenario}", *target]
    exact, unmoved = (cifar(data_dir, *usual, f"training.lr={lr}")[0] for lr in (1e-3, 1e-9))
    rounded, rows = cifar(data_dir, *usual, "training.lr=1e-3", "device.precision=bfloat16")
    check_rows(rows, method, scenario)
    assert 0 < distance(exact, rounded) < 0.5 * distance(exact, unmoved)
    if method == "hnet_ent" and target is RESNET:
        assert rounded.get_extra_state()["task_buffers"][1]["network.norm.num_batches_tracked"] == LEARNED


def test_both_regularisers_agree_with_masked_heads(data_dir: Path) -> None:
    usual = ["method=hnet", "method.strength=1.0", *RESNET]
    choices = ([], ["method/regularizer=explicit"], ["method.mask_heads=false"])
    fast, explicit, unmasked = (cifar(data_dir, *usual, *choice)[0] for choice in choices)
    assert 100 * distance(fast, explicit) < distance(fast, unmasked)


def distance(one: Learner, other: Learner) -> float:
    """Mean difference of two learners' parameters."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return torch.cat([(ours - theirs).detach().abs().flatten() for ours, theirs in pairs]).mean().item()


@pytest.mark.parametrize(("scenario", "target"), [("cl1", "convnet"), ("cl2", "convnet"), ("cl3", "mlp_100")])
def test_faces(scenario: str, target: str, data_dir: Path) -> None:
    lists = [f"benchmark.train_list={TRAIN_LIST}", f"benchmark.test_list={TEST_LIST}", "benchmark.num_tasks=2"]
    choice = ["benchmark=f_celeba", "method=hnet_ent", f"scenario={scenario}", f"target={target}"]
    _, rows = learn(data_dir, *choice, *lists, "dataset.size=16", "benchmark.validation_per_task=2")
    check_rows(rows, "hnet_ent", scenario)


def check_rows(rows: list[Row], method: str, scenario: str) -> None:
    """Every learned task was tested on all its examples, and its task inferred where it was not told."""
    for latest, row in enumerate(rows):
        assert [entry is None for entry in row.scores] == [task > latest for task in range(2)]
        assert all(0 <= entry <= 1 for entry in row.scores if entry is not None)
    counts = rows[-1].inferred
    if method in ("hnet_ent", "hnet_tir", "scratch", "supsup") and scenario != "cl1":
        assert counts is not None and [sum(own) > 0 for own in counts] == [True, True]
    else:
        assert counts is None

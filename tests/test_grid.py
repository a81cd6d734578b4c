"""Every method in every scenario, from configuration to accuracy matrix, on a benchmark of seconds.

Slow: every method on every protocol, of images and of vectors.
"""

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import NEED_THE_TASK, NEEDS_SEPARATE_CLASSES, rows_of
from hydra import compose, initialize_config_dir
from marks import few
from omegaconf import OmegaConf
from tiny_images import write_cifar

import hnet_cl.config.resolvers  # noqa: F401  (presets ask for its resolvers)
from hnet_cl import build
from hnet_cl.config.check import check
from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.overrides import prepared
from hnet_cl.core.errors import UserError

METHODS, SCENARIOS = (list(choices(conf_dir(), group)) for group in ("method", "scenario"))
TELL_ALL_CLASSES_APART = {"icarl"}
PROTOCOLS = {  # on images or vectors, and the number of classes of each task
    "split": (["benchmark.classes_per_task=[3,1]"], [3, 1]),
    "permuted": (["benchmark.num_tasks=2"], [4, 4]),
    "rotated": (["benchmark.num_tasks=2", "benchmark.span=90"], [10, 10]),
    "domains": ([], [4, 4]),
}


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("config", prepared(overrides)), resolve=True)
    return {str(key): value for key, value in config.items()}


QUICK = [
    ("hnet", "cl1"),
    ("hnet", "cl2"),
    ("hnet_ent", "cl2"),
    ("hnet_tir", "cl3"),
    ("hnet_r", "cl3"),
    ("derpp", "cl1"),
]


@pytest.mark.parametrize(("method", "scenario"), few(product(METHODS, SCENARIOS), QUICK))
def test_grid(method: str, scenario: str) -> None:
    config = composed("benchmark=toy", f"method={method}", f"scenario={scenario}", "training.iterations=60")
    apart = method in TELL_ALL_CLASSES_APART or (method in NEEDS_SEPARATE_CLASSES and scenario == "cl2")
    only = "cl1" if method in NEED_THE_TASK else "cl3" if apart else scenario
    if scenario != only:
        with pytest.raises(UserError, match=rf"^method={method} with scenario={scenario}: .*use scenario={only}"):
            check(config)
        return
    plan = check(config)
    benchmark = build.build_benchmark(plan, Path("unused"), torch.device("cpu"))
    learner = build.build_learner(plan, benchmark.in_shape, benchmark.class_counts, torch.device("cpu"))
    rows = list(rows_of(learner, benchmark.tasks, plan.training, []))
    assert rows[0].scores[0] is not None and rows[0].scores[0] > 0.9, "the first task is learned anywhere"
    inferred = rows[-1].inferred
    if method in ("hnet_ent", "hnet_tir", "scratch", "supsup") and scenario != "cl1":
        assert inferred is not None and [sum(counts) for counts in inferred] == [200] * 3
    else:
        assert inferred is None


@cache
def tasks_of(protocol: str, kind: str) -> dict[str, Any]:
    """The nodes `benchmark` and `dataset` of a configuration with tiny data, read from files or drawn."""
    name, small = {
        "images": ("cifar10", ["verify=none"]),
        "vectors": ("blobs", ["num_classes=4", "train_per_class=8", "test_per_class=4"]),
    }[kind]
    words = [f"benchmark={protocol}", *PROTOCOLS[protocol][0]]
    places = ["dataset"]
    if protocol == "domains":
        words.append(f"dataset={{a:{name},b:{name}}}")
        places = ["dataset.of.a", "dataset.of.b"]
    else:
        words.append(f"dataset={name}")
    config = composed(*words, *(f"{place}.{one}" for place in places for one in small))
    return {key: config[key] for key in ("benchmark", "dataset")}


@cache
def method_of(method: str) -> dict[str, Any]:
    """A configuration with the method, of a size for the toy benchmark and a few steps."""
    scenario = "cl1" if method in NEED_THE_TASK else "cl3"
    return composed("benchmark=toy", f"method={method}", f"scenario={scenario}", "training.iterations=3")


def with_short_trials(node: Any) -> Any:
    """The node with classifiers that judge samples trained for three steps."""
    if not isinstance(node, dict):
        return node
    return {key: {**one, "iterations": 3} if key == "judge" else with_short_trials(one) for key, one in node.items()}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CIFAR-10 of 4 + 2 images a class."""
    folder = tmp_path_factory.mktemp("data")
    write_cifar(folder, classes=1)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["images", "vectors"])
@pytest.mark.parametrize(("method", "protocol"), list(product(METHODS, PROTOCOLS)))
def test_every_method_on_every_protocol(method: str, protocol: str, kind: str, images: Path) -> None:
    plan = check(with_short_trials(method_of(method)) | tasks_of(protocol, kind))
    if (protocol, kind) == ("rotated", "vectors"):
        with pytest.raises(UserError, match="has no images"):
            build.build_benchmark(plan, images, torch.device("cpu"))
        return
    benchmark = build.build_benchmark(plan, images, torch.device("cpu"))
    counts = PROTOCOLS[protocol][1]
    assert list(benchmark.class_counts) == (counts if kind == "vectors" or protocol == "split" else [10, 10])
    learner = build.build_learner(plan, benchmark.in_shape, benchmark.class_counts, torch.device("cpu"))
    rows = list(rows_of(learner, benchmark.tasks, plan.training, []))
    known = [[entry is not None for entry in row.scores] for row in rows]
    assert known == [[True, False], [True, True]]
    assert all(0 <= entry <= 1 for entry in rows[-1].scores if entry is not None)

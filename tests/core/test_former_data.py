"""Configurations from before datasets had a node of their own: the same ids, and read as they are written now."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import hnet_cl.config.resolvers  # noqa: F401  (what the yaml files ask for)
from hnet_cl.config.check import check
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.config.overrides import prepared
from hnet_cl.core.config_hash import config_id, without
from hnet_cl.core.former_data import in_former_shape, in_todays_shape
from hnet_cl.core.old_keys import upgraded

FORMER: dict[str, dict[str, Any]] = {
    "pmnist": {
        "_target_": "hnet_cl.benchmarks.permuted_mnist.PermutedMNIST",
        "name": "pmnist",
        "num_tasks": 10,
        "source": "auto",
        "padding": 2,
        "permute_first": False,
        "seed": 42,
    },
    "smnist": {
        "_target_": "hnet_cl.benchmarks.split_mnist.SplitMNIST",
        "name": "smnist",
        "num_tasks": 5,
        "classes_per_task": 2,
        "source": "auto",
        "shuffle_digits": False,
        "seed": 42,
    },
    "split_cifar": {
        "_target_": "hnet_cl.benchmarks.split_cifar.SplitCIFAR",
        "name": "split_cifar",
        "num_tasks": 6,
        "classes_from": ["cifar10", "cifar100"],
        "classes_per_task": 10,
        "verify": "md5",
        "augment": "none",
        "normalize": False,
    },
    "f_celeba": {
        "_target_": "hnet_cl.benchmarks.f_celeba.FCelebA",
        "name": "f_celeba",
        "num_tasks": 10,
        "partition": "lists",
        "train_list": "all_data_iid_01_05_keep_5_train_9.json",
        "test_list": "all_data_iid_01_05_keep_5_test_9.json",
        "train_per_task": 96,
        "test_per_task": 11,
        "validation_per_task": 9,
        "size": 32,
        "augment": "none",
        "seed": 42,
    },
}
LATER = ("pixel_noise", "fisher_samples", "tasks", "keep_remainder")  # keys of later versions
IDS = {"pmnist": "75bc48d6", "smnist": "7cbb4958", "split_cifar": "61b52a13", "f_celeba": "db3c4c25"}


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("config", list(overrides)), resolve=True)
    return {str(key): value for key, value in config.items()}


@pytest.mark.parametrize("benchmark", FORMER)
def test_a_papers_sequence_has_the_id_that_it_had(benchmark: str) -> None:
    now = composed(f"benchmark={benchmark}")
    before = in_former_shape(now)
    assert without(before["benchmark"], LATER) == FORMER[benchmark] and "dataset" not in before
    assert config_id(now) == config_id(before) == IDS[benchmark]


@pytest.mark.parametrize("benchmark", FORMER)
def test_an_old_run_folders_configuration_is_read(benchmark: str) -> None:
    now = composed(f"benchmark={benchmark}")
    old = {key: value for key, value in now.items() if key not in ("dataset", "usual_dataset")}
    read = upgraded(old | {"benchmark": FORMER[benchmark]})
    assert without(read["benchmark"], LATER) == without(now["benchmark"], LATER)
    assert read["dataset"] == now["dataset"]
    assert check(read).benchmark.name == benchmark and config_id(read) == IDS[benchmark]


def test_what_is_of_today_stays_as_it_is() -> None:
    for words in (["benchmark=toy"], ["benchmark=split", "dataset=fashion_mnist"]):
        now = composed(*words)
        assert in_todays_shape(now) == now and in_former_shape(now) == now
    shuffled = composed("benchmark=split_cifar", "benchmark.shuffle_classes=true")
    assert in_former_shape(shuffled) == shuffled
    assert config_id(shuffled) != config_id(composed("benchmark=split_cifar"))


@pytest.mark.parametrize("words", [["benchmark=smnist"], ["benchmark=split", "dataset=blobs"]])
def test_a_split_from_before_it_had_lists_of_classes_is_read_and_found(words: list[str]) -> None:
    now = composed(*words)
    before = without(now, ["benchmark.tasks", "benchmark.keep_remainder"])
    assert before != now and upgraded(before) == now
    assert config_id(before) == config_id(now)
    for change in ({"tasks": [[0, 1]]}, {"keep_remainder": True}):
        assert config_id({**now, "benchmark": {**now["benchmark"], **change}}) != config_id(now)


def test_every_setting_of_a_dataset_counts() -> None:
    words = ["benchmark=split", "dataset=blobs"]
    ids = {config_id(composed(*words, *more)) for more in ([], ["dataset.seed=1"], ["dataset.spread=0.3"])}
    ids |= {config_id(composed("benchmark=smnist", f"dataset.source={source}")) for source in ("auto", "full")}
    assert len(ids) == 5


def test_keys_that_have_moved_may_be_typed_as_before() -> None:
    words = [
        "benchmark=smnist",
        "benchmark.source=full",
        "+benchmark.shuffle_digits=true",
        "~benchmark.verify",
        "seed=2",
    ]
    now = ["benchmark=smnist", "dataset.source=full", "+benchmark.shuffle_classes=true", "~benchmark.verify", "seed=2"]
    assert prepared(words) == now
    swept = ["-m", "benchmark=split_cifar10,split_cifar100", "benchmark.verify=counts,none"]
    assert prepared(swept)[-1] == "dataset.verify=counts,none"


def test_keys_of_a_benchmark_of_ones_own_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "mine.yaml").write_text("# @package _global_\nbenchmark:\n  source: here\n")
    words = ["benchmark=mine", "benchmark.source=there", f"--config-dir={tmp_path}"]
    assert prepared(words) == words

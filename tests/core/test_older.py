"""Configurations of earlier versions: read with the keys of this one, found by the same ids."""

from copy import deepcopy
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
from hnet_cl.core.importing import import_named
from hnet_cl.core.older import STEPS, TASK_INFERENCE, advice_on, as_before, new_key, upgraded
from hnet_cl.methods.parts.inference import TaskInference

ALONE = {"images_per_decision": 1}  # came later, to all rules that infer tasks
ADAM = {"_target_": "torch.optim.Adam", "weight_decay": 0.0}
OPTIMIZER = {"optimizer": ADAM, "lr_scheduler": None}  # of all old runs
OLD: dict[str, Any] = {
    "benchmark": {"name": "smnist", "num_tasks": 5},
    "method": {
        "name": "hnet_tir",
        "hypernet": {"chunk_size": 42000, "hidden": [10, 10]},
        "beta": 0.01,
        "task_inference": {
            "kind": "classifier",
            "generator": {"hypernet": {"chunk_size": None}, "beta": 0.05, "pixel_noise": None},
        },
    },
}
LATER = {"compression": None, "old_embeddings": "frozen", "init": "xavier"}  # came later to hypernetworks
PATH = "hnet_cl.hypernet.{}Regularizer"
SHAPES = {  # regularizer, regularized_tasks, regularized_blocks: class, key, value
    ("fast", None, None): ("Gram", "sampled_tasks", None),
    ("fast", 3, None): ("Gram", "sampled_tasks", 3),
    ("fast", None, 64): ("Block", "sampled_blocks", 64),
    ("explicit", None, None): ("Explicit", "sampled_tasks", None),
    ("explicit", 2, None): ("Explicit", "sampled_tasks", 2),
}
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
OF_METHODS = ("pixel_noise", "fisher_samples")  # keys of later versions, which count in the method
IDS = {"pmnist": "75bc48d6", "smnist": "7cbb4958", "split_cifar": "61b52a13", "f_celeba": "db3c4c25"}


def configs(shape: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A configuration of then and the same one of now, with a regulariser in the method and in its generator."""
    kind, key, value = SHAPES[shape]
    then = dict(zip(("regularizer", "regularized_tasks", "regularized_blocks"), shape, strict=True))
    today = {"regularizer": {"_target_": PATH.format(kind), key: value}}
    old, new = (
        OPTIMIZER | {"seed": 1, "method": {"width": 0.1, **part, "replay": {"generator": {"latent": 2, **part}}}}
        for part in (then, today)
    )
    return old, new


class TestKeys:
    def test_an_old_configuration_has_the_keys_of_this_version_and_the_same_id(self) -> None:
        before = deepcopy(OLD)
        new = upgraded(OLD)
        assert before == OLD and config_id(new) == config_id(OLD)
        generator = {"hypernet": {"chunk_size": None, **LATER}, "strength": 0.05, "pixel_noise": None}
        assert new == OPTIMIZER | {
            "benchmark": {"name": "smnist", "num_tasks": 5, "pixel_noise": None, "fisher_samples": None},
            "method": {
                "name": "hnet_tir",
                "hypernet": {"chunk_size": 42000, "hidden": [10, 10], **LATER},
                "strength": 0.01,
                "task_inference": {"_target_": TASK_INFERENCE["classifier"], "generator": generator} | ALONE,
            },
        }
        assert upgraded(new) == new

    def test_keys_of_that_name_elsewhere_are_left_alone(self) -> None:
        others = {"method": {"name": "ewc", "strength": 5.0, "beta": 4.0}, "target": {"beta": 2.0, "hypernet": 3}}
        assert upgraded(others)["method"] == as_before(others)["method"] == others["method"]
        assert config_id({"method": {"strength": 5.0}}) != config_id({"method": {"beta": 5.0}})
        both = {"method": {"hypernet": LATER | {"compression": 1.0}, "beta": 1.0, "strength": 2.0}}
        assert upgraded(both)["method"] == both["method"]
        assert upgraded({"benchmark": 1})["benchmark"] == 1

    def test_a_protected_hypernetwork_makes_joint_steps_unless_it_is_said(self) -> None:
        then: dict[str, Any] = {"hypernet": LATER, "lookahead": False, "strength": 1.0}
        nested: dict[str, Any] = {"method": {**then, "generator": then}}
        now = upgraded(nested)
        assert now["method"] == {**then, "update": "joint", "generator": {**then, "update": "joint"}}
        assert upgraded(now) == now and as_before(now)["method"] == as_before(nested)["method"]
        before = config_id(now)
        assert before == config_id(nested)
        for part in (now["method"], now["method"]["generator"]):
            of_hypernet = [{"hypernet": LATER | one} for one in ({"old_embeddings": "plastic"}, {"init": "fan_in"})]
            for change in ({"update": "separate"}, *of_hypernet):
                kept = {**part}
                part.update(change)
                assert config_id(now) != before
                part.update(kept)

    def test_what_has_become_of_a_key(self) -> None:
        inner = "method.task_inference.generator"
        assert [new_key(key) for key in ("method.beta", f"{inner}.beta")] == ["method.strength", f"{inner}.strength"]
        assert [new_key(key) for key in ("target.beta", "beta", "method.betta", "method.strength")] == [None] * 4
        assert advice_on("method.beta", ["method.strength"]) == "is called method.strength now"
        assert advice_on("method.beta", ["method.generator.strength"]) is None
        said = "is chosen by its file now; give method/task_inference=NAME"
        assert advice_on("method.task_inference.kind", []) == said
        assert advice_on("method.generator.kind", []) is None


class TestRegularizers:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_both_shapes_become_each_other_at_any_depth(self, shape: Any) -> None:
        old, new = configs(shape)
        assert as_before(new) == as_before(old) == old
        assert upgraded(old) == upgraded(new) == new
        assert config_id(old) == config_id(new)

    def test_ids_tell_all_shapes_apart(self) -> None:
        assert len({config_id(configs(shape)[1]) for shape in SHAPES}) == len(SHAPES)

    @pytest.mark.parametrize(
        "part",
        [
            {"_target_": "my_package.Mine", "sampled_tasks": None},
            {"_target_": PATH.format("Block")},
            {"_target_": ["a"]},
            "mine",
            None,
            3,
        ],
    )
    def test_what_no_earlier_version_knew_stays(self, part: Any) -> None:
        config = OPTIMIZER | {"method": {"regularizer": part}}
        assert as_before(config) == upgraded(config) == config


class TestTaskInference:
    @pytest.mark.parametrize(("word", "path"), TASK_INFERENCE.items())
    def test_a_word_stands_for_a_class_of_today(self, word: str, path: str) -> None:
        old, new = (
            OPTIMIZER | {"method": {"name": "hnet", "task_inference": {**part, "temperature": 2.0}}}
            for part in ({"kind": word}, {"_target_": path} | ({} if word == "given" else ALONE))
        )
        assert upgraded(old) == upgraded(new) == new
        assert as_before(new) == as_before(old) == old
        assert issubclass(import_named(path, ""), TaskInference)

    @pytest.mark.parametrize(
        "method",
        [
            *({"task_inference": part} for part in (None, "entropy", 3, {}, {"kind": "guess"}, {"kind": ["given"]})),
            {"task_inference": {"_target_": ["a"]}},
            {"name": "ewc"},
            {"generator": {"task_inference": {"kind": "entropy"}}},
            None,
            "hnet",
        ],
    )
    def test_all_else_stays(self, method: Any) -> None:
        config = OPTIMIZER | {"method": method}
        assert upgraded(config) == as_before(config) == config


class TestDatasets:
    @pytest.mark.parametrize("benchmark", FORMER)
    def test_the_papers_sequences_have_their_ids_and_are_read_from_old_run_folders(self, benchmark: str) -> None:
        now = composed(f"benchmark={benchmark}")
        before = as_before(now)
        assert without(before["benchmark"], OF_METHODS) == FORMER[benchmark] and "dataset" not in before
        old = {key: value for key, value in now.items() if key not in ("dataset", "usual_dataset")}
        read = upgraded(old | {"benchmark": FORMER[benchmark]})
        assert without(read["benchmark"], OF_METHODS) == without(now["benchmark"], OF_METHODS)
        assert read["dataset"] == now["dataset"] and check(read).benchmark.name == benchmark
        assert config_id(now) == config_id(before) == config_id(read) == IDS[benchmark]

    def test_what_is_of_today_stays_as_it_is(self) -> None:
        for words in (["benchmark=toy"], ["benchmark=split", "dataset=fashion_mnist"]):
            now = composed(*words)
            assert upgraded(now) == now
            kept = without(now["benchmark"], ["tasks", "keep_remainder"])
            assert as_before(now)["benchmark"] == kept
        shuffled = composed("benchmark=split_cifar", "benchmark.shuffle_classes=true")
        assert as_before(shuffled)["benchmark"] == without(shuffled["benchmark"], ["tasks", "keep_remainder"])
        assert config_id(shuffled) != config_id(composed("benchmark=split_cifar"))

    @pytest.mark.parametrize("words", [["benchmark=smnist"], ["benchmark=split", "dataset=blobs"]])
    def test_a_split_from_before_it_had_lists_of_classes_is_read_and_found(self, words: list[str]) -> None:
        now = composed(*words)
        before = without(now, ["benchmark.tasks", "benchmark.keep_remainder"])
        assert before != now and upgraded(before) == now
        assert config_id(before) == config_id(now)
        for change in ({"tasks": [[0, 1]]}, {"keep_remainder": True}):
            assert config_id({**now, "benchmark": {**now["benchmark"], **change}}) != config_id(now)

    def test_a_run_from_scratch_from_before_it_could_infer_the_task_is_read_and_found(self) -> None:
        now = composed("benchmark=toy", "method=scratch")
        before = without(now, ["method.task_inference"])
        assert upgraded(before) == now and before["method"].keys() == {"_target_", "name"}
        assert config_id(before) == config_id(now) == "d21fc7be"
        rule = now["method"]["task_inference"] | {"temperature": 2.0}
        assert config_id({**now, "method": {**now["method"], "task_inference": rule}}) != config_id(now)

    def test_every_setting_of_a_dataset_counts(self) -> None:
        words = ["benchmark=split", "dataset=blobs"]
        ids = {config_id(composed(*words, *more)) for more in ([], ["dataset.seed=1"], ["dataset.spread=0.3"])}
        ids |= {config_id(composed("benchmark=smnist", f"dataset.source={source}")) for source in ("auto", "full")}
        assert len(ids) == 5

    def test_keys_that_have_moved_may_be_typed_as_before(self) -> None:
        words = "benchmark=smnist benchmark.source=full +benchmark.shuffle_digits=true ~benchmark.verify seed=2"
        now = "benchmark=smnist dataset.source=full +benchmark.shuffle_classes=true ~benchmark.verify seed=2"
        assert prepared(words.split()) == now.split()
        swept = ["-m", "benchmark=split_cifar10,split_cifar100", "benchmark.verify=counts,none"]
        assert prepared(swept)[-1] == "dataset.verify=counts,none"

    def test_keys_of_a_benchmark_of_ones_own_stay_what_they_are(self, tmp_path: Path) -> None:
        (tmp_path / "benchmark").mkdir()
        (tmp_path / "benchmark" / "mine.yaml").write_text("# @package _global_\nbenchmark:\n  source: here\n")
        words = ["benchmark=mine", "benchmark.source=there", f"--config-dir={tmp_path}"]
        assert prepared(words) == words


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("config", list(overrides)), resolve=True)
    return {str(key): value for key, value in config.items()}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.upgrade.__name__)
@pytest.mark.parametrize("config", [{}, {"benchmark": None, "method": [], "dataset": 3}, {1: {"beta": {}}}], ids=str)
def test_every_step_bears_what_is_no_configuration(step: Any, config: Any) -> None:
    before = deepcopy(config)
    assert {**OPTIMIZER, **step.upgrade(config)} == {**OPTIMIZER, **config}
    assert step.downgrade(config) == config == before


@pytest.mark.parametrize("kind", ["hnet_cl.methods.hnet.HNet", "my_package.Derived"])
def test_methods_with_a_hypernetwork_have_gained_a_base(kind: str) -> None:
    method = {"_target_": kind, "mask_heads": False, "new_embedding": "random"}
    old = {"method": method}
    new = upgraded(old)
    assert new["method"] == method | {"base": "zero"} and as_before(new)["method"] == method
    assert config_id(old) == config_id(new) != config_id({"method": method | {"base": "initial"}})
    assert "base" not in upgraded({"method": {"_target_": kind, "new_embedding": "random"}})["method"], "hypermask"

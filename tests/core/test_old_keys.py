"""Configurations of earlier versions: read with the keys of this one, found by the same ids."""

from copy import deepcopy
from typing import Any

from hnet_cl.core.config_hash import config_id
from hnet_cl.core.old_keys import new_key, upgraded

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


def test_an_old_configuration_has_the_keys_of_this_version_and_the_same_id() -> None:
    before = deepcopy(OLD)
    new = upgraded(OLD)
    assert before == OLD and config_id(new) == config_id(OLD)
    assert new["benchmark"] == {"name": "smnist", "num_tasks": 5, "pixel_noise": None, "fisher_samples": None}
    assert new["method"]["strength"] == 0.01 and "beta" not in new["method"]
    assert new["method"]["hypernet"] == {"chunk_size": 42000, "hidden": [10, 10], "compression": None}
    generator = new["method"]["task_inference"]["generator"]
    assert generator == {
        "hypernet": {"chunk_size": None, "compression": None},
        "strength": 0.05,
        "pixel_noise": None,
    }
    assert upgraded(new) == new


def test_keys_of_that_name_elsewhere_are_left_alone() -> None:
    others = {"method": {"name": "ewc", "strength": 5.0, "beta": 4.0}, "target": {"beta": 2.0, "hypernet": 3}}
    assert upgraded(others)["method"] == others["method"]
    assert config_id({"method": {"strength": 5.0}}) != config_id({"method": {"beta": 5.0}})
    both = {"method": {"hypernet": {"compression": 1.0}, "beta": 1.0, "strength": 2.0}}
    assert upgraded(both)["method"] == both["method"]
    assert upgraded({"benchmark": 1})["benchmark"] == 1


def test_the_new_name_of_a_key() -> None:
    assert new_key("method.beta") == "method.strength"
    assert new_key("method.task_inference.generator.beta") == "method.task_inference.generator.strength"
    assert [new_key(key) for key in ("target.beta", "beta", "method.betta", "method.strength")] == [None] * 4

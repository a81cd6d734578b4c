"""Configurations with the words that chose a regulariser are those with the classes that choose it now."""

from typing import Any

import pytest

from hnet_cl.core.config_hash import config_id
from hnet_cl.core.old_regularizers import with_classes, with_words

PATH = "hnet_cl.hypernet.{}Regularizer"
SHAPES = {  # regularizer, regularized_tasks, regularized_blocks: class, key, value
    ("fast", None, None): ("Gram", "sampled_tasks", None),
    ("fast", 3, None): ("Gram", "sampled_tasks", 3),
    ("fast", None, 64): ("Block", "sampled_blocks", 64),
    ("explicit", None, None): ("Explicit", "sampled_tasks", None),
    ("explicit", 2, None): ("Explicit", "sampled_tasks", 2),
}


def configs(word: str, tasks: int | None, blocks: int | None, *now: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A configuration of then and the same one of now, with a regulariser in the method and one in its generator."""
    kind, key, value = now
    then = {"regularizer": word, "regularized_tasks": tasks, "regularized_blocks": blocks}
    today = {"regularizer": {"_target_": PATH.format(kind), key: value}}
    old, new = (
        {"seed": 1, "method": {"beta": 0.1, **part, "task_inference": {"generator": {"latent": 2, **part}}}}
        for part in (then, today)
    )
    return old, new


@pytest.mark.parametrize("shape", SHAPES)
def test_both_shapes_become_each_other_at_any_depth(shape: Any) -> None:
    old, new = configs(*shape, *SHAPES[shape])
    assert with_words(new) == old and with_words(old) == old
    assert with_classes(old) == new and with_classes(new) == new
    assert config_id(old) == config_id(new)


def test_ids_tell_all_shapes_apart() -> None:
    assert len({config_id(configs(*then, *now)[1]) for then, now in SHAPES.items()}) == len(SHAPES)


@pytest.mark.parametrize(
    "part",
    [{"_target_": "my_package.Mine", "sampled_tasks": None}, {"_target_": PATH.format("Block")}, "mine", None, 3],
)
def test_what_no_earlier_version_knew_stays(part: Any) -> None:
    config = {"method": {"regularizer": part}}
    assert with_words(config) == config and with_classes(config) == config

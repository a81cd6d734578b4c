"""Regularisers, now chosen by a class path; earlier versions chose them by a word and two keys next to it.

Runs of those versions are found by ids that hash the words, and their folders contain configurations with them.
"""

from collections.abc import Mapping
from typing import Any

NAME = "regularizer"
GRAM, EXPLICIT, BLOCKS = (f"hnet_cl.hypernet.{kind}Regularizer" for kind in ("Gram", "Explicit", "Block"))
WORDS = {GRAM: "fast", EXPLICIT: "explicit", BLOCKS: "fast"}
TASKS, BLOCK_COUNT = ("regularized_tasks", "sampled_tasks"), ("regularized_blocks", "sampled_blocks")  # old, new


def with_words(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration of this version with words in place of class paths, where the old form had such words."""
    changed = {key: with_words(value) if isinstance(value, Mapping) else value for key, value in config.items()}
    part = changed.get(NAME)
    path = part.get("_target_") if isinstance(part, dict) else None
    if part is None or path not in WORDS or (path == BLOCKS and part.get(BLOCK_COUNT[1]) is None):
        return changed
    return {**changed, NAME: WORDS[path], **{then: part.get(now) for then, now in (TASKS, BLOCK_COUNT)}}


def with_classes(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration of any version with class paths in place of words."""
    changed = {key: with_classes(value) if isinstance(value, Mapping) else value for key, value in config.items()}
    word = changed.get(NAME)
    if not isinstance(word, str) or word not in WORDS.values():
        return changed
    tasks, blocks = (changed.pop(then, None) for then, _ in (TASKS, BLOCK_COUNT))
    if blocks is not None:
        return {**changed, NAME: {"_target_": BLOCKS, BLOCK_COUNT[1]: blocks}}
    return {**changed, NAME: {"_target_": EXPLICIT if word == "explicit" else GRAM, TASKS[1]: tasks}}

"""Finds the preset of a method on a benchmark, and the recipe of a target network on a benchmark.

A yaml that is derived from another one (`defaults: [smnist, _self_]`) inherits its presets and recipes, unless it has
its own; this works at any depth.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hydra.core.default_element import ConfigDefault, GroupDefault
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

ALL = "all"
NONE = "none"  # the file of a group that sets nothing
CLASS = "target._target_"
RULE = "task_inference"


def preset_for(benchmark: str, method: str, task_inference: str | None = None) -> str:
    """Returns the closest preset, as `smnist/hnet`; `none` if there is none.

    A preset of the method itself comes before one of a method that it is derived from; among these, one for the
    benchmark itself comes before one for a benchmark that it is derived from.

    Args:
        benchmark: the chosen file of the benchmark.
        method: the chosen file of the method.
        task_inference: that of its task-inference rule; None if it has none, or for its own. With another rule than its
            own, a method is what the yaml files call it: `hnet` with `classifier` is `hnet_tir`.
    """
    return _closest("preset", benchmark, _methods(_repository(), method, task_inference))


def recipe_for(benchmark: str, target: str) -> str:
    """Returns the closest recipe, as `split_cifar/zenke`; `none` if there is none."""
    return _closest("recipe", benchmark, _lineage(_repository(), "target", target))


def for_target(sizes: DictConfig, value: Any, *, _root_: DictConfig) -> Any:
    """Returns a value that was published for a target network; None if the run has another, or trains a part of it.

    Args:
        sizes: the settings that fix the architecture of that network, including `_target_`.
        value: the published value.
    """
    target = _root_.target
    whole = OmegaConf.select(_root_, "training.parameters") in (None, ALL)
    return value if whole and all(key in target and target[key] == sizes[key] for key in sizes) else None


def unless(given: Any, otherwise: Any) -> Any:
    """Returns `otherwise` if `given` is None, else None."""
    return otherwise if given is None else None


def preset_of(choices: Mapping[str, Any]) -> str | None:
    """Returns the preset among the chosen files of all groups; None if it is `none` or there is no such group."""
    chosen = choices.get("preset")
    return None if chosen == NONE else chosen


def target_of(choices: Mapping[str, Any], overrides: Sequence[str]) -> str | None:
    """Returns the name of the target network: the chosen file, or the class if that was typed; None without either."""
    typed = [value for key, _, value in (word.partition("=") for word in overrides) if key.lstrip("+") == CLASS]
    return typed[-1].rpartition(".")[2] if typed else choices.get("target")


def existing(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the choices without optional files that do not exist."""
    repository, found = _repository(), {}
    for key, name in choices.items():
        group = key.partition("@")[0]  # what follows @ is its place in the configuration
        if name is None or repository.config_exists(f"{group}/{name}"):
            found[key] = name
    return found


def _closest(group: str, benchmark: str, names: Iterable[str]) -> str:
    repository = _repository()
    folders = list(_lineage(repository, "benchmark", benchmark))
    for name in names:
        for folder in folders:
            if repository.config_exists(f"{group}/{folder}/{name}"):
                return f"{folder}/{name}"
    return NONE


def _lineage(repository: Any, group: str, name: str) -> Iterator[str]:
    """Yields the name of a yaml and those of all yamls that it is derived from, the closest first."""
    yield name
    loaded = repository.load_config(f"{group}/{name}")
    for entry in (loaded and loaded.defaults_list) or []:
        if isinstance(entry, ConfigDefault) and not entry.is_self():  # a whole file, not another group's choice
            yield from _lineage(repository, group, str(entry.path).removeprefix(f"/{group}/"))


def _methods(repository: Any, method: str, rule: str | None) -> Iterator[str]:
    """Yields the methods whose presets are for `method` with this task-inference rule, the closest first."""
    chosen = {name: _rule(repository, name) for name in _lineage(repository, "method", method)}
    own = next((choice.value for choice in chosen.values() if choice), None)
    if rule is None or rule == own:
        yield from chosen
        return
    for name, choice in chosen.items():
        yield from _short_names(repository, name, rule)
        if choice is None or not choice.override or choice.value == rule:
            yield name


def _short_names(repository: Any, method: str, rule: str) -> Iterator[str]:
    """Yields the methods whose yaml says no more than that they are `method` with this task-inference rule."""
    for name in repository.get_group_options("method"):
        parents = list(_lineage(repository, "method", name))[1:2]
        choice = _rule(repository, name)
        says_more = set(repository.load_config(f"method/{name}").config) - {"name"}
        if parents == [method] and choice is not None and choice.value == rule and not says_more:
            yield name


def _rule(repository: Any, method: str) -> GroupDefault | None:
    """Returns the choice of a task-inference rule in the yaml of a method itself; None if it makes none."""
    loaded = repository.load_config(f"method/{method}")
    for entry in (loaded and loaded.defaults_list) or []:
        if isinstance(entry, GroupDefault) and str(entry.group).removeprefix("/method/") == RULE:
            return entry
    return None


def _repository() -> Any:
    """Returns Hydra's access to the yaml files that it is composing from."""
    loader: Any = GlobalHydra.instance().config_loader()
    return loader.repository


for _resolver in (preset_for, recipe_for, for_target, unless):
    OmegaConf.register_new_resolver(_resolver.__name__, _resolver, replace=True)

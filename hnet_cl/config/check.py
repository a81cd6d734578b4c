"""Turns a composed configuration into checked settings, before any data are loaded; mistakes are reported together."""

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    ValidationError,
    model_validator,
)
from torch import nn

from hnet_cl.benchmarks.base import Benchmark
from hnet_cl.config.check_extension import Extended, check_extension, extended
from hnet_cl.config.check_lines import line
from hnet_cl.config.check_tasks import check_tasks
from hnet_cl.config.networks import PUBLISHED, network_builder, network_settings
from hnet_cl.core.chosen import (
    TARGET,
    Chosen,
    model_of,
    packages,
    strange,
    subclass,
    targets,
    with_target,
)
from hnet_cl.core.errors import UnsupportedError, UntrustedError, UserError
from hnet_cl.core.importing import import_named
from hnet_cl.core.plain_text import printable, shown
from hnet_cl.core.settings import Count, Settings, beyond_bounds
from hnet_cl.datasets.base import Dataset
from hnet_cl.methods.base import Learner
from hnet_cl.records.logger import Logger
from hnet_cl.scenario import ScenarioSettings
from hnet_cl.training.optimizers import SchedulerChoice, try_out
from hnet_cl.training.trainer import TrainingSettings

MOST_THREADS = max(64, 4 * (os.cpu_count() or 1))  # more only wait for each other; thousands cannot be started


class DeviceSettings(Settings):
    """The device and how it computes.

    `threads`: of torch on the CPU; None leaves the number to torch. `precision`: number format in which the target
    network computes. `graph`: whether training steps are captured as CUDA graphs.
    """

    type: Literal["cpu", "cuda"]
    threads: Annotated[int, Field(gt=0, le=MOST_THREADS)] | None
    precision: Literal["float32", "bfloat16"]
    graph: bool

    @model_validator(mode="after")
    def _graphs_need_a_gpu(self) -> Self:
        if self.graph and self.type != "cuda":
            raise ValueError(f"graph=true needs type=cuda, not {self.type}: choose device=cuda, or graph=false")
        return self


# Keys of every benchmark to which the settings of methods refer: `pixel_noise` of generators, `fisher_samples` of EWC.
FOR_METHODS: Mapping[str, Any] = {"pixel_noise": (PositiveFloat | None, ...), "fisher_samples": (Count | None, ...)}
BASES: Mapping[str, type] = {"benchmark": Benchmark, "method": Learner, "target": nn.Module}


@dataclass(frozen=True)
class Plan:
    """A checked configuration: classes and their settings; nothing is built yet.

    `lr_scheduler` is still a mapping, since a scheduler is built for the number of steps of a task. `kept_per_weight`:
    how many numbers the optimiser keeps for each weight. `extends`: the numbers of tasks of the runs that this one
    extends, one after the other.
    """

    benchmark_class: type[Benchmark]
    benchmark: Any
    dataset: Chosen[Dataset] | None
    method_class: type[Learner]
    method: Any
    target_class: Callable[..., nn.Module]
    target: Mapping[str, Any]
    scenario: ScenarioSettings
    training: TrainingSettings
    device: DeviceSettings
    seed: int
    loggers: Mapping[str, Chosen[Logger]]
    optimizer: Chosen[torch.optim.Optimizer]
    lr_scheduler: Mapping[str, Any] | None
    kept_per_weight: int
    extends: tuple[int, ...] = ()


def check(config: Mapping[str, Any], trusted: Collection[str] | None = None) -> Plan:
    """Checks names, types and ranges of a resolved configuration.

    Args:
        config: the configuration.
        trusted: packages or modules that may be imported besides hnet_cl, each with all below it; None
            for any, as when the user has typed the configuration.

    Raises:
        UntrustedError: the configuration names classes outside of hnet_cl, torch.optim and `trusted`; nothing has been
            imported.
        UserError: something is wrong; the message has one line for each mistake.
    """
    _check_plain_values(config)
    paths = _require_class_paths(config)
    if trusted is not None:
        _require_trust(paths, trusted)
    benchmark_class, method_class, target_class = (_find(group, paths) for group in BASES)
    for key, path in paths.items():
        import_named(path, key)  # so that an import error names the key
    model = _model(benchmark_class, method_class, target_class)
    try:
        checked: Any = model.model_validate(dict(config))
    except ValidationError as error:
        raise UserError("\n".join(printable(line(model, config, item)) for item in error.errors())) from error
    checked.place()
    _check_together(benchmark_class, method_class, checked)
    _check_normalized_once(target_class, checked)
    kept_per_weight = try_out(checked.optimizer, config["lr_scheduler"], checked.training)
    check_tasks(benchmark_class, checked)
    target = {name: value for name, value in config["target"].items() if name != "_target_"}
    return Plan(
        benchmark_class,
        checked.benchmark,
        checked.dataset,
        method_class,
        checked.method,
        target_class,
        target,
        checked.scenario,
        checked.training,
        checked.device,
        checked.seed,
        checked.logger,
        checked.optimizer,
        config["lr_scheduler"],
        kept_per_weight,
        extended(config),
    )


def _model(
    benchmark_class: type[Benchmark], method_class: type[Learner], target_class: Callable[..., nn.Module]
) -> Any:
    """Builds the pydantic model of the settings of a whole run with these classes."""
    return model_of(
        "Config",
        Settings,
        seed=NonNegativeInt,
        extends=(Extended, None),  # older runs, from before runs could be extended, lack it
        fresh=bool,
        debug=bool,
        checkpoint_every=Annotated[float, Field(ge=0, le=1e9)],
        data_dir=Annotated[str, Field(min_length=1, pattern=r"\S")],
        output_dir=Annotated[str, Field(min_length=1, pattern=r"\S")],
        benchmark=with_target(benchmark_class.Settings, **FOR_METHODS),
        dataset=(Chosen[Dataset] | None, None),
        usual_dataset=(str | None, None),
        usual_base=(str, "zero"),  # older runs lack it
        method=with_target(method_class.Settings),
        target=with_target(network_settings(target_class)),
        scenario=ScenarioSettings,
        training=TrainingSettings,
        optimizer=Chosen[torch.optim.Optimizer],
        lr_scheduler=SchedulerChoice,
        device=DeviceSettings,
        logger=(dict[str, Chosen[Logger]], {}),  # older runs, from before loggers could be chosen, lack it
    )


def _check_plain_values(config: Mapping[str, Any]) -> None:
    """Refuses numbers that no computer can hold, and names that cannot be part of a folder's name.

    Raises:
        UserError: there is such a number or name.
    """
    if lines := list(beyond_bounds(config)):
        raise UserError("\n".join(lines))
    for group in ("benchmark", "scenario", "method", "dataset"):
        node = config.get(group)
        name = node.get("name", "") if isinstance(node, Mapping) else ""
        if name and not re.fullmatch(r"[\w+=-][\w.+=-]*", str(name)):
            raise UserError(
                f"{group}.name={name}: becomes part of a folder's name; use letters, digits, _, - and . alone"
            )


def _require_class_paths(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns the class path of every `_target_` in a configuration, by dotted key.

    Raises:
        UserError: one is no dotted path, or leads into a module `__main__`, which runs a program when imported.
    """
    expected = {f"{group}.{TARGET}": base for group, base in BASES.items()}
    said = {**dict.fromkeys(expected), **dict(targets(config))}
    for key, path in said.items():
        if not isinstance(path, str) or "." not in path or not all(part.isidentifier() for part in path.split(".")):
            base = expected.get(key)
            kind = f"{base.__name__} class" if base else "class"
            raise UserError(f"{key}={shown(path)}: give the dotted path of a {kind}, as package.module.Class")
        if "__main__" in path.split("."):
            raise UserError(f"{key}={path}: a module __main__ is a program; put the class into another module")
    return {key: str(path) for key, path in said.items()}


def _require_trust(paths: Mapping[str, str], trusted: Collection[str]) -> None:
    """Refuses classes that lie neither in this package, nor among torch's optimisers, nor in one of `trusted`.

    Paths that begin with hnet_cl are looked up in the folder of the running package, not along Python's path.

    Raises:
        UntrustedError: there are such classes.
    """
    if found := strange(paths, trusted):
        named = ", ".join(f"{key}={path}" for key, path in found.items())
        raise UntrustedError(
            f"{named}: not of hnet_cl, and to import it runs its code; if you trust it, add "
            f"trust={packages(found.values())}"
        )


def _find(group: str, paths: Mapping[str, str]) -> Any:
    """Imports the class of a group, which must be derived from the group's base; or what builds a target network.

    Raises:
        UserError: it cannot be imported, is abstract or is not derived from the base.
    """
    key = f"{group}.{TARGET}"
    try:
        return network_builder(paths[key], key) if group == "target" else subclass(paths[key], key, BASES[group])
    except ValueError as error:
        raise UserError(str(error)) from error


def _check_together(benchmark_class: type[Benchmark], method_class: type[Learner], checked: Any) -> None:
    """Refuses choices that are possible alone but not together.

    Raises:
        UserError: there are such choices.
    """
    scenario, method = checked.scenario.name, checked.method.name
    check_extension(method_class, checked)
    if benchmark_class.score.kind == "regression":
        benchmark = checked.benchmark.name
        if reason := method_class.unsupported_regression(checked.method):
            raise UnsupportedError(f"method={method} with benchmark={benchmark}: {reason}")
        if reason := checked.scenario.unsupported_regression:
            raise UnsupportedError(f"scenario={scenario} with benchmark={benchmark}: {reason}")
    elif likelihood := checked.training.likelihood:
        raise UserError(
            f"training.likelihood={likelihood} with benchmark={checked.benchmark.name}: is for regression; give null"
        )
    if reason := method_class.unsupported(checked.method, checked.scenario):
        raise UnsupportedError(f"method={method} with scenario={scenario}: {reason}")
    if benchmark_class.score.kind == "regression" and method_class.infers_task and not checked.scenario.task_known:
        reason = "no rule that infers the task is defined for regression; use scenario=cl1"
        raise UnsupportedError(f"method={method} with scenario={scenario}: {reason}")
    for key, usual in (("parameters", "all"), ("initial_weights", None)):
        if not method_class.has_target and (value := getattr(checked.training, key)) != usual:
            reason = f"the method has no target network; give training.{key}={'null' if usual is None else usual}"
            raise UserError(f"training.{key}={shown(value)} with method={method}: {reason}")
    if checked.lr_scheduler is not None and checked.training.lr_decay:
        raise UserError(
            f"training.lr_decay={checked.training.lr_decay} with a lr_scheduler: both change the learning rate; give "
            "training.lr_decay=[] or lr_scheduler=none"
        )
    if checked.device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch finds no GPU here; use device=cpu, or install a torch built for CUDA")


def _check_normalized_once(target_class: Callable[..., nn.Module], checked: Any) -> None:
    """Refuses a dataset that normalises images for a network that does so itself.

    Raises:
        UserError: both would.
    """
    chosen = checked.dataset and getattr(checked.dataset.settings, "normalize", None)
    if chosen and target_class.__module__ == PUBLISHED and (own := checked.target.normalize):
        raise UserError(
            f"dataset.normalize={shown(chosen)} with target.normalize={own}: images would be normalised twice; give "
            "dataset.normalize=false, or target.normalize=null"
        )

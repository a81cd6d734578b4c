"""Factories of the optimiser and the learning-rate scheduler that a configuration chooses."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, TypeAdapter
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from hnet_cl.core.checks import attempt
from hnet_cl.core.chosen import Chosen, parameters_of
from hnet_cl.core.errors import UserError
from hnet_cl.training.clipping import clipping
from hnet_cl.training.lean_optimizers import without_compiler
from hnet_cl.training.trainer import TrainingSettings

ADAMS = (Adam, AdamW)  # their decay rates are training.betas
FUSED = (Adam, AdamW, SGD)  # one pass over memory instead of ten, which halves the time of a step on a CPU
STEPS = "steps_per_task"  # in a scheduler's yaml: stands for the number of steps of the current task
SOME = 100  # number of steps where that of a task is not known yet

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]


def _with_steps(node: Any, steps: int) -> Any:
    """Returns a scheduler's mapping with the number `steps` in place of the word `STEPS`."""
    if not isinstance(node, Mapping):
        return node
    return {name: steps if value == STEPS else value for name, value in node.items()}


SchedulerChoice = Annotated[Chosen[LRScheduler] | None, BeforeValidator(lambda node: _with_steps(node, SOME))]
_SCHEDULER: TypeAdapter[Chosen[LRScheduler]] = TypeAdapter(Chosen[LRScheduler])


def optimizer_factory(chosen: Chosen[Optimizer], training: TrainingSettings, device: torch.device) -> MakeOptimizer:
    """Returns a function that builds the chosen optimiser for given parameters, with the settings of the training.

    The function raises a UserError if the optimiser rejects its arguments or the parameters.
    """
    options = _options(chosen, training, device)
    norm = training.gradient_clip_norm
    lean = chosen.kind if options.get("differentiable") else without_compiler(chosen.kind)
    kind: Any = lean if norm is None else clipping(lean, norm)
    said = ", ".join(f"{name}={value}" for name, value in options.items())

    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        held = list(parameters)
        made: Optimizer = attempt(_path(chosen), f"its constructor with {said}", lambda: kind(held, **options))
        return made

    return make


def _options(chosen: Chosen[Optimizer], training: TrainingSettings, device: torch.device) -> dict[str, Any]:
    """Returns the optimiser's arguments: from its yaml, from the training, and those that are fastest on the device."""
    takes = parameters_of(chosen.kind)
    typed = {name: getattr(chosen.settings, name) for name in chosen.settings.model_fields_set}
    options: dict[str, Any] = {"lr": training.lr}
    if _has_betas(chosen.kind):
        options["betas"] = training.betas[0], training.betas[1]
    if chosen.kind in FUSED and device.type != "meta" and "foreach" not in typed:
        options["fused"] = True
    if "capturable" in takes and device.type == "cuda":
        options["capturable"] = True
    return options | typed


def _path(chosen: Chosen[Optimizer]) -> str:
    return f"optimizer._target_={chosen.kind.__module__}.{chosen.kind.__qualname__}"


def _has_betas(kind: type[Optimizer]) -> bool:
    return issubclass(kind, ADAMS) and "betas" in parameters_of(kind)


def can_be_captured(chosen: Chosen[Optimizer]) -> bool:
    """Tells whether a step of the optimiser runs entirely on the device, so that a CUDA graph can repeat it."""
    return chosen.kind is SGD or "capturable" in parameters_of(chosen.kind)


def scheduler_factory(node: Mapping[str, Any] | None) -> Callable[[Optimizer, int], LRScheduler] | None:
    """Returns a function that builds the scheduler of a checked mapping, for an optimiser and a task's number of steps.

    None if there is no scheduler. The function raises a UserError if the scheduler rejects its arguments.
    """
    if node is None:
        return None

    def make(optimizer: Optimizer, steps: int) -> LRScheduler:
        chosen = _SCHEDULER.validate_python(_with_steps(node, steps))
        made: LRScheduler = attempt(f"lr_scheduler={chosen.kind.__name__}", "its constructor", chosen.make, optimizer)
        return made

    return make


def try_out(chosen: Chosen[Optimizer], node: Mapping[str, Any] | None, training: TrainingSettings) -> int:
    """Makes a step with the optimiser and its scheduler; returns how many numbers per weight the optimiser stores.

    Raises:
        UserError: one of them fails, or the optimiser's constructor is not as a run needs it.
    """
    _require_arguments(chosen)
    parameter = nn.Parameter(torch.ones(2, 2))
    parameter.grad = torch.ones(2, 2)
    optimizer = optimizer_factory(chosen, training, torch.device("cpu"))([parameter])
    make_scheduler = scheduler_factory(node)
    scheduler = make_scheduler(optimizer, SOME) if make_scheduler else None
    attempt(_path(chosen), "step", optimizer.step)
    if scheduler is not None:
        attempt(f"lr_scheduler={type(scheduler).__name__}", "step", scheduler.step)
    kept = optimizer.state.get(parameter, {}).values()
    return sum(isinstance(value, torch.Tensor) and value.shape == parameter.shape for value in kept)


def _require_arguments(chosen: Chosen[Optimizer]) -> None:
    kind, typed = chosen.kind, chosen.settings.model_fields_set
    _, *others = parameters_of(kind).values()
    needed = [p.name for p in others if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if "lr" not in parameters_of(kind) or needed:
        raise UserError(
            f"{_path(chosen)}: its constructor must take parameters, then lr and all else with defaults, as torch's "
            f"optimisers do{f'; without one: {joined}' if (joined := ', '.join(needed)) else ''}"
        )
    for name in ("lr", "betas") if _has_betas(kind) else ("lr",):
        if name in typed:
            raise UserError(f"optimizer.{name}: is a setting of the training, for all optimisers; give training.{name}")

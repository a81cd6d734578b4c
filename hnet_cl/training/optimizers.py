"""The optimiser and the learning rate's scheduler that a configuration chooses, built as a run needs them."""

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
from hnet_cl.training.trainer import TrainingSettings

ADAMS = (Adam, AdamW)  # whose decay rates are training.betas
FUSED = (Adam, AdamW, SGD)  # one pass over memory instead of ten, which is half of a step's time on a CPU
STEPS = "steps_per_task"  # in a scheduler's yaml: as many as the task at hand takes
SOME = 100  # steps of a task, where it is not known yet

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]


def _with_steps(node: Any, steps: int) -> Any:
    """Returns a scheduler's mapping with a number in place of the word for it."""
    if not isinstance(node, Mapping):
        return node
    return {name: steps if value == STEPS else value for name, value in node.items()}


SchedulerChoice = Annotated[Chosen[LRScheduler] | None, BeforeValidator(lambda node: _with_steps(node, SOME))]
_SCHEDULER: TypeAdapter[Chosen[LRScheduler]] = TypeAdapter(Chosen[LRScheduler])


def optimizer_factory(chosen: Chosen[Optimizer], training: TrainingSettings, device: torch.device) -> MakeOptimizer:
    """Returns what builds the chosen optimiser of given parameters, with the settings of the training.

    The factory raises a UserError where the optimiser does not take its arguments or the parameters.
    """
    options = _options(chosen, training, device)
    norm = training.gradient_clip_norm
    kind: Any = chosen.kind if norm is None else clipping(chosen.kind, norm)
    said = ", ".join(f"{name}={value}" for name, value in options.items())

    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        held = list(parameters)
        made: Optimizer = attempt(_path(chosen), f"its constructor with {said}", lambda: kind(held, **options))
        return made

    return make


def _options(chosen: Chosen[Optimizer], training: TrainingSettings, device: torch.device) -> dict[str, Any]:
    """Arguments of the optimiser: those of its yaml, of the training, and what is fastest on the device."""
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
    """Tells whether all that a step of the optimiser does is done on the device, so that a CUDA graph may repeat it."""
    return chosen.kind is SGD or "capturable" in parameters_of(chosen.kind)


def scheduler_factory(node: Mapping[str, Any] | None) -> Callable[[Optimizer, int], LRScheduler] | None:
    """Returns what builds the scheduler of a checked mapping, for an optimiser and the steps of a task."""
    if node is None:
        return None

    def make(optimizer: Optimizer, steps: int) -> LRScheduler:
        chosen = _SCHEDULER.validate_python(_with_steps(node, steps))
        made: LRScheduler = attempt(f"lr_scheduler={chosen.kind.__name__}", "its constructor", chosen.make, optimizer)
        return made

    return make


def try_out(chosen: Chosen[Optimizer], node: Mapping[str, Any] | None, training: TrainingSettings) -> int:
    """Makes a step with the optimiser and its scheduler; returns how many numbers the former keeps of each weight.

    Raises:
        UserError: one of them lacks what a run needs, or does not work.
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
            raise UserError(f"optimizer.{name}: belongs to the training, whatever optimises; give training.{name}")

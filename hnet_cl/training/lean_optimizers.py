"""PyTorch's own optimisers without PyTorch's compiler, whose import takes a quarter of a short run's time."""

import inspect
from functools import cache
from typing import Any, TypeVar

import torch
from torch.optim import Optimizer

Kind = TypeVar("Kind", bound=type[Optimizer])

MARKED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def without_compiler(kind: Kind) -> Kind:
    """Returns a subclass of `kind` that takes the same steps and never imports torch._dynamo; others as they are.

    torch.optim's classes import torch._dynamo, and SymPy with it, when they are made and at each step, only to tell
    the compiler which functions to leave alone. Nothing here is compiled. The subclass's attribute `same_as` is `kind`.
    """
    chosen: Any = kind
    return _lean(chosen) if kind.__module__.startswith("torch.optim.") else kind


@cache
def _lean(kind: Any) -> Any:
    unmarked: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in MARKED}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**unmarked, "step": step, "same_as": kind, "__module__": kind.__module__})

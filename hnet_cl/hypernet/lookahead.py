"""The candidate step of an optimiser: where it would go, without going there."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

# Their steps do not depend on where they start, without weight decay.
START_FREE = (torch.optim.Adam, torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop, torch.optim.SGD)


class Drift:
    """How far a parameter (R, ...) has moved from where it is now.

    Attributes:
        difference: the parameter's value minus its `origin` (R, ...); zero until somebody writes it.
        origin: its value at the time of construction (R, ...).
        stacked: both in one piece of memory, [difference; origin] (2R, ...).
    """

    def __init__(self, parameter: Tensor) -> None:
        origin = parameter.detach()
        self.stacked = torch.cat([torch.zeros_like(origin), origin])
        self.difference, self.origin = self.stacked[: len(origin)], self.stacked[len(origin) :]

    @torch.no_grad()
    def measure(self, value: Tensor) -> None:
        """Writes the difference of a value (R, ...)."""
        torch.sub(value, self.origin, out=self.difference)


class Lookahead:
    """Computes theta + dTheta, the point an optimiser's next step would reach with the gradients as they are.

    The paper's regulariser (Eq. 2) is evaluated there. The step is made by a twin of the optimiser on copies of
    its parameters and state, so any optimiser works whose `step` needs no closure, and the original's parameters
    and state stay untouched. dTheta is a constant: no gradient flows through it.

    Args:
        optimizer: whose step it is.
        drifts: parameters of which not the value but the drift is wanted. Where a step does not depend on where it
            starts, the twin makes it on the difference itself, which saves a copy.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, drifts: Mapping[nn.Parameter, Drift] | None = None) -> None:
        self._optimizer = optimizer
        self._drifts = dict(drifts or {})
        held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        decays = any(group.get("weight_decay") for group in optimizer.param_groups)
        self._at_once = self._drifts if type(optimizer) in START_FREE and not decays else {}
        self._twins = {parameter: self._new_twin(parameter) for parameter in held}
        same_kind: Any = type(optimizer)
        self._twin: torch.optim.Optimizer = same_kind(
            [{**group, "params": [self._twins[p] for p in group["params"]]} for group in optimizer.param_groups]
        )

    def _new_twin(self, parameter: nn.Parameter) -> Tensor:
        drift = self._at_once.get(parameter)
        return (parameter.detach().clone() if drift is None else drift.difference.detach()).requires_grad_()

    @torch.no_grad()
    def candidate(self) -> dict[nn.Parameter, Tensor]:
        """Computes theta + dTheta: leaf tensors with the values that the parameters would have.

        Those with a drift are left out: their drift is written. All are valid until the next call.
        """
        for group, twin_group in zip(self._optimizer.param_groups, self._twin.param_groups, strict=True):
            twin_group.update({key: value for key, value in group.items() if key != "params"})
        sources, copies = [], []
        for parameter, twin in self._twins.items():
            twin.grad = parameter.grad
            if drift := self._at_once.get(parameter):
                drift.measure(parameter)
            else:
                sources.append(parameter)
                copies.append(twin)
            for source, copied in self._copy_state(parameter, twin):
                sources.append(source)
                copies.append(copied)
        if sources:
            torch._foreach_copy_(copies, sources)
        self._twin.step()
        for parameter, twin in self._twins.items():
            twin.grad = None
            if parameter in self._drifts and parameter not in self._at_once:
                self._drifts[parameter].measure(twin)
        return {parameter: twin for parameter, twin in self._twins.items() if parameter not in self._drifts}

    def _copy_state(self, parameter: Tensor, twin: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields pairs of state tensors, of which the second is to become a copy of the first; copies all else."""
        state, copied = self._optimizer.state.get(parameter), self._twin.state[twin]
        if not state:
            del self._twin.state[twin]  # the optimiser has not stepped yet: the twin starts from nothing too
            return
        for key, value in state.items():
            if isinstance(value, Tensor) and isinstance(copied.get(key), Tensor):
                yield value, copied[key]
            else:
                copied[key] = copy.deepcopy(value)

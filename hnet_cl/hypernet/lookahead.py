"""The lookahead step of an optimiser: the parameters after its next step, computed without making it."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hnet_cl.hypernet.pieces import PieceByPiece, takes_pieces

# Without weight decay, the steps of these optimisers depend only on gradients and state, not on the parameters' values.
START_FREE = (torch.optim.Adam, torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop, torch.optim.SGD)


class Drift:
    """The change of a parameter (R, ...) since the time of construction.

    Attributes:
        difference: the parameter's value minus its `origin` (R, ...); zero until it is written.
        origin: its value at the time of construction (R, ...).
        stacked: [difference; origin] (2R, ...), a tensor of which the two are views.
    """

    def __init__(self, parameter: Tensor) -> None:
        origin = parameter.detach()
        self.stacked = torch.cat([torch.zeros_like(origin), origin])
        self.difference, self.origin = self.stacked[: len(origin)], self.stacked[len(origin) :]

    @torch.no_grad()
    def measure(self, value: Tensor) -> None:
        """Sets `difference` to that between `value` (R, ...) and `origin`."""
        torch.sub(value, self.origin, out=self.difference)


class Lookahead:
    """Computes theta + dTheta, the point that an optimiser's next step would reach with the present gradients.

    The regulariser of von Oswald et al. (ICLR 2020, Eq. 2) is evaluated there. The step is made by a twin of the
    optimiser on copies of its parameters and state, so any optimiser works whose `step` needs no closure, and the
    original's parameters and state are not changed. dTheta is a constant: no gradient flows through it. For the drift
    of a large parameter nothing is copied if the optimiser is fused Adam or SGD without decay (`PieceByPiece`).

    Args:
        optimizer: the optimiser whose next step is computed.
        drifts: parameters of which the drift is wanted instead of the value. Where steps do not depend on the
            parameters' values, the twin steps on the difference itself, which saves a copy.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, drifts: Mapping[nn.Parameter, Drift] | None = None) -> None:
        self._optimizer = optimizer
        self._drifts = dict(drifts or {})
        self._in_pieces = dict(self._find_pieces())
        held = [p for group in optimizer.param_groups for p in group["params"] if p not in self._in_pieces]
        decays = any(group.get("weight_decay") for group in optimizer.param_groups)
        start_free = getattr(type(optimizer), "same_as", type(optimizer)) in START_FREE
        self._at_once = self._drifts if start_free and not decays else {}
        self._twins = {parameter: self._new_twin(parameter) for parameter in held}
        same_kind: Any = type(optimizer)
        self._twin: torch.optim.Optimizer = same_kind(
            [{**g, "params": [self._twins[p] for p in g["params"] if p in self._twins]} for g in optimizer.param_groups]
        )

    def _find_pieces(self) -> Iterator[tuple[nn.Parameter, PieceByPiece]]:
        """Yields the parameters whose drift is computed piece by piece."""
        for number, group in enumerate(self._optimizer.param_groups):
            for parameter in group["params"]:
                drift = self._drifts.get(parameter)
                if drift and takes_pieces(self._optimizer, group, parameter):
                    given = self._optimizer, number, parameter, drift.origin, drift.difference
                    yield parameter, PieceByPiece(*given)

    def _new_twin(self, parameter: nn.Parameter) -> Tensor:
        drift = self._at_once.get(parameter)
        return (parameter.detach().clone() if drift is None else drift.difference.detach()).requires_grad_()

    @torch.no_grad()
    def candidate(self) -> dict[nn.Parameter, Tensor]:
        """Computes theta + dTheta: leaf tensors with the values that the parameters would have after the step.

        Parameters with a drift are left out; their drift is written instead. All are valid until the next call.
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
        for pieces in self._in_pieces.values():
            pieces.step()
        for parameter, twin in self._twins.items():
            twin.grad = None
            if parameter in self._drifts and parameter not in self._at_once:
                self._drifts[parameter].measure(twin)
        return {parameter: twin for parameter, twin in self._twins.items() if parameter not in self._drifts}

    def _copy_state(self, parameter: Tensor, twin: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields pairs (source, target) of state tensors for the caller to copy; copies all other state itself."""
        state, copied = self._optimizer.state.get(parameter), self._twin.state[twin]
        if not state:
            del self._twin.state[twin]  # the optimiser has not stepped yet: the twin starts from nothing too
            return
        for key, value in state.items():
            if isinstance(value, Tensor) and isinstance(copied.get(key), Tensor):
                yield value, copied[key]
            else:
                copied[key] = copy.deepcopy(value)

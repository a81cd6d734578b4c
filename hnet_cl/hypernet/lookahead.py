"""The candidate step of an optimiser: where it would go, without going there."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

# Their steps do not depend on where they start, without weight decay.
START_FREE = (torch.optim.Adam, torch.optim.NAdam, torch.optim.RAdam, torch.optim.RMSprop, torch.optim.SGD)


class Distance(NamedTuple):
    """Where to write a parameter's difference from `origin`; both have the parameter's shape."""

    origin: Tensor
    out: Tensor


class Lookahead:
    """Computes theta + dTheta, the point an optimiser's next step would reach with the gradients as they are.

    The paper's regulariser (Eq. 2) is evaluated there. The step is made by a twin of the optimiser on copies of
    its parameters and state, so any optimiser works whose `step` needs no closure, and the original's parameters
    and state stay untouched. dTheta is a constant: no gradient flows through it.

    Args:
        optimizer: whose step it is.
        distances: parameters of which not the value but the distance from somewhere is wanted. Where a step does not
            depend on where it starts, the twin makes it on the distance at once, which saves a copy.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, distances: Mapping[torch.nn.Parameter, Distance] | None = None
    ) -> None:
        self._optimizer = optimizer
        self._held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._distances = dict(distances or {})
        decays = any(group.get("weight_decay") for group in optimizer.param_groups)
        self._at_once = self._distances if type(optimizer) in START_FREE and not decays else {}
        twin_of = {parameter: self._new_twin(parameter) for parameter in self._held}
        self._twins = list(twin_of.values())
        same_kind: Any = type(optimizer)
        self._twin: torch.optim.Optimizer = same_kind(
            [{**group, "params": [twin_of[p] for p in group["params"]]} for group in optimizer.param_groups]
        )

    def _new_twin(self, parameter: torch.nn.Parameter) -> Tensor:
        distance = self._at_once.get(parameter)
        return (parameter.detach().clone() if distance is None else distance.out.detach()).requires_grad_()

    @torch.no_grad()
    def candidate(self) -> list[Tensor]:
        """Leaf tensors with the values of theta + dTheta, in the optimiser's order; valid until the next call.

        Those with a distance hold that, and are valid for as long as nobody else writes to its `out`.
        """
        for group, twin_group in zip(self._optimizer.param_groups, self._twin.param_groups, strict=True):
            twin_group.update({key: value for key, value in group.items() if key != "params"})
        sources, copies = [], []
        for parameter, twin in zip(self._held, self._twins, strict=True):
            twin.grad = parameter.grad
            if distance := self._at_once.get(parameter):
                torch.sub(parameter, distance.origin, out=twin)
            else:
                sources.append(parameter)
                copies.append(twin)
            for source, copied in self._copy_state(parameter, twin):
                sources.append(source)
                copies.append(copied)
        if sources:
            torch._foreach_copy_(copies, sources)
        self._twin.step()
        for twin in self._twins:
            twin.grad = None
        return [self._wanted(parameter, twin) for parameter, twin in zip(self._held, self._twins, strict=True)]

    def _wanted(self, parameter: torch.nn.Parameter, twin: Tensor) -> Tensor:
        distance = self._distances.get(parameter)
        if distance is None or parameter in self._at_once:
            return twin
        return torch.sub(twin, distance.origin, out=distance.out)

    def _copy_state(self, parameter: Tensor, twin: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of state tensors, of which the second is to become a copy of the first; all else is copied here."""
        state, copied = self._optimizer.state.get(parameter), self._twin.state[twin]
        if not state:
            del self._twin.state[twin]  # the optimiser has not stepped yet: the twin starts from nothing too
            return
        for key, value in state.items():
            if isinstance(value, Tensor) and isinstance(copied.get(key), Tensor):
                yield value, copied[key]
            else:
                copied[key] = copy.deepcopy(value)


class Standstill:
    """The candidate of no step at all: theta as it is, with the same `distances` as `Lookahead`."""

    def __init__(
        self, parameters: Sequence[torch.nn.Parameter], distances: Mapping[torch.nn.Parameter, Distance]
    ) -> None:
        self._parameters = parameters
        self._distances = distances

    @torch.no_grad()
    def candidate(self) -> Sequence[Tensor]:
        """The parameters themselves, and differences where these are wanted; valid until the next call."""
        for parameter, distance in self._distances.items():
            torch.sub(parameter, distance.origin, out=distance.out)
        return [self._distances[p].out if p in self._distances else p for p in self._parameters]

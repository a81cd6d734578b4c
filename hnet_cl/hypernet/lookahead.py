"""The candidate step of an optimiser: where it would go, without going there."""

import copy
from typing import Any

import torch
from torch import Tensor


class Lookahead:
    """Computes theta + dTheta, the point an optimiser's next step would reach with the gradients as they are.

    The paper's regulariser (Eq. 2) is evaluated there. The step is made by a twin of the optimiser on copies of
    its parameters and state, so any optimiser works whose `step` needs no closure, and the original's parameters
    and state stay untouched. dTheta is a constant: no gradient flows through it.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._pairs = [
            (parameter, parameter.detach().clone().requires_grad_())
            for group in optimizer.param_groups
            for parameter in group["params"]
        ]
        twins = dict(self._pairs)
        same_kind: Any = type(optimizer)
        self._twin: torch.optim.Optimizer = same_kind(
            [{**group, "params": [twins[p] for p in group["params"]]} for group in optimizer.param_groups]
        )

    @torch.no_grad()
    def candidate(self) -> list[Tensor]:
        """Leaf tensors with the values of theta + dTheta, in the optimiser's order; valid until the next call."""
        for group, twin_group in zip(self._optimizer.param_groups, self._twin.param_groups, strict=True):
            twin_group.update({key: value for key, value in group.items() if key != "params"})
        for parameter, twin in self._pairs:
            twin.copy_(parameter)
            twin.grad = parameter.grad
            self._copy_state(parameter, twin)
        self._twin.step()
        for _, twin in self._pairs:
            twin.grad = None
        return [twin for _, twin in self._pairs]

    def _copy_state(self, parameter: Tensor, twin: Tensor) -> None:
        state, copied = self._optimizer.state.get(parameter), self._twin.state[twin]
        if not state:
            del self._twin.state[twin]  # the optimiser has not stepped yet: the twin starts from nothing too
            return
        for key, value in state.items():
            if isinstance(value, Tensor) and isinstance(copied.get(key), Tensor):
                copied[key].copy_(value)
            else:
                copied[key] = copy.deepcopy(value)

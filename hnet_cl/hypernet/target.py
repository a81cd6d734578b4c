"""Target networks: any `nn.Module`, run with weights that somebody else made."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

Interval = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Where each parameter of a module stands in one flat vector of N numbers, in the module's own order."""

    shapes: Mapping[str, torch.Size]

    @classmethod
    def of(cls, module: nn.Module) -> "Layout":
        """The layout of `module`; a parameter that is shared inside the module is counted once.

        Raises:
            ValueError: the module has no parameters, so there is nothing to generate.
        """
        shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
        if not shapes:
            raise ValueError(f"{type(module).__name__} has no parameters: a target network needs some")
        return cls(shapes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of scalars of each parameter, in order."""
        return tuple(prod(shape) for shape in self.shapes.values())

    @property
    def total(self) -> int:
        """N, the number of scalars of all parameters."""
        return sum(self.sizes)

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Cuts weights (N,) into views with the parameters' names and shapes."""
        pieces = flat.split(self.sizes)
        return {name: piece.view(shape) for piece, (name, shape) in zip(pieces, self.shapes.items(), strict=True)}

    def flatten(self, named: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `split`: named parameters to one vector (N,)."""
        return torch.cat([named[name].reshape(-1) for name in self.shapes])

    def interval(self, name: str) -> Interval:
        """First and one-past-last position of a parameter in the flat vector."""
        start = 0
        for other, size in zip(self.shapes, self.sizes, strict=True):
            if other == name:
                return start, start + size
            start += size
        raise KeyError(f"{name!r} is no parameter; there are {', '.join(self.shapes)}")

    def without_other_rows(self, names: tuple[str, ...], rows: slice) -> list[Interval]:
        """All positions except those rows of the parameters `names` that lie outside `rows`.

        For an output layer ("head.weight", "head.bias") and the outputs of one task this is what the task's
        predictions depend on, and so what its regulariser has to keep (output-head masking of the official code).
        """
        kept, start = [], 0
        for name, size in zip(self.shapes, self.sizes, strict=True):
            if name in names:
                width = size // self.shapes[name][0]
                kept.append((start + rows.start * width, start + rows.stop * width))
            else:
                kept.append((start, start + size))
            start += size
        return kept


class TargetNetwork:
    """A module as a pure function of weights (N,) and inputs.

    The module is copied and its parameters are dropped: only names and shapes are used. Buffers (such as
    BatchNorm's running statistics) are handed in by the caller, who decides what belongs to which task; a call
    in training mode updates them in place, as the module would.
    """

    def __init__(self, module: nn.Module) -> None:
        self.layout = Layout.of(module)
        hollow = {id(p): nn.Parameter(torch.empty_like(p, device="meta")) for p in module.parameters()}
        self._module = copy.deepcopy(module, hollow)

    def fresh_buffers(self) -> dict[str, Tensor]:
        """A copy of the buffers the module came with."""
        return {name: buffer.clone() for name, buffer in self._module.named_buffers()}

    def train(self, mode: bool = True) -> "TargetNetwork":
        """Training (True) or evaluation mode of the module, for dropout and BatchNorm."""
        self._module.train(mode)
        return self

    def __call__(self, weights: Tensor, inputs: Tensor, buffers: Mapping[str, Tensor] | None = None) -> Any:
        """The module's output for `inputs` with generated `weights` (N,)."""
        state = self.layout.split(weights) | dict(self.fresh_buffers() if buffers is None else buffers)
        return functional_call(self._module, state, (inputs,), strict=True)

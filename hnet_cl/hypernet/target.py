"""Target networks: any `nn.Module`, run with weights that somebody else made."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hnet_cl.hypernet.copies import copied

Interval = tuple[int, int]


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """A module's parameters that can be learned, by name: those with `requires_grad` and not without elements.

    One that is shared inside the module is there once, under its first name.
    """
    return {name: p for name, p in module.named_parameters() if p.requires_grad and p.numel()}


@dataclass(frozen=True)
class Layout:
    """Where each trainable parameter of a module stands in one flat vector of N numbers, in the module's own order."""

    shapes: Mapping[str, torch.Size]

    @classmethod
    def of(cls, module: nn.Module) -> "Layout":
        """The layout of what is `trainable` in `module`.

        Raises:
            ValueError: nothing is, so there is nothing to generate.
        """
        shapes = {name: parameter.shape for name, parameter in trainable(module).items()}
        if not shapes:
            raise ValueError(f"{type(module).__name__} has no trainable parameters: a target network needs some")
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


class TargetNetwork(nn.Module):
    """A module as a pure function of weights (N,) and inputs.

    The module is copied and its trainable parameters are dropped: only names and shapes are used. All others
    (`requires_grad=False`) stay what they are, as buffers of this one, so they belong to its state. The module's
    buffers (such as BatchNorm's running statistics) are handed in by the caller, who decides what belongs to which
    task; a call in training mode updates them in place, as the module would.
    """

    _module: nn.Module

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.layout = Layout.of(module)
        self._frozen = {}  # names of buffers, which have no dots
        for name, parameter in module.named_parameters():
            if name not in self.layout.shapes:
                self._frozen[name] = f"frozen/{name.replace('.', '/')}"
                self.register_buffer(self._frozen[name], parameter.detach().clone())
        self._places = _places(module)
        hollow = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), False) for p in module.parameters()}
        object.__setattr__(self, "_module", copied(module, hollow))  # no part of this one's state

    @property
    def module(self) -> nn.Module:
        """The module itself, to look at its layers or to hook them; its trainable parameters hold no values."""
        return self._module

    def fresh_buffers(self) -> dict[str, Tensor]:
        """A copy of the buffers the module came with."""
        return {name: buffer.clone() for name, buffer in self._module.named_buffers()}

    def named_state(self, weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns all parameters and buffers of the module by name: given weights, what is not trained, and buffers."""
        frozen = {name: self.get_buffer(own) for name, own in self._frozen.items()}
        return {**weights, **frozen, **buffers}

    def train(self, mode: bool = True) -> Self:
        """Training (True) or evaluation mode of the module, for dropout and BatchNorm."""
        super().train(mode)
        self._module.train(mode)
        return self

    def forward(
        self, weights: Tensor | Mapping[str, Tensor], inputs: Tensor, buffers: Mapping[str, Tensor] | None = None
    ) -> Any:
        """The module's output for `inputs` with `weights`: (N,), or by name as `Layout.split` has them."""
        named = self.layout.split(weights) if isinstance(weights, Tensor) else weights
        buffers = self.fresh_buffers() if buffers is None else buffers
        state = self.named_state(named, buffers)
        placed = {place: state[name] for place, name in self._places.items()}
        output = functional_call(self._module, placed, (inputs,), tie_weights=False)
        if self.training:
            _keep(buffers, placed)
        return output


def _places(module: nn.Module) -> dict[str, str]:
    """Every place in a module where a parameter or buffer stands, with the first name of what stands there.

    A shared tensor has several places, one in each module that holds it. A shared module is one place under several
    names; given each of them, `functional_call` would not put back what was there.
    """
    first: dict[int, str] = {}
    places = {}
    for prefix, part in module.named_modules():  # each once
        whole = {"recurse": False, "remove_duplicate": False}
        for name, tensor in (*part.named_parameters(**whole), *part.named_buffers(**whole)):
            place = f"{prefix}.{name}" if prefix else name
            places[place] = first.setdefault(id(tensor), place)
    return places


@torch.no_grad()
def _keep(buffers: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    """Copies into `buffers` what a module has put in their place instead of changing them."""
    for name, buffer in buffers.items():
        new = after[name]
        if new is not buffer and new.shape == buffer.shape:
            buffer.copy_(new)

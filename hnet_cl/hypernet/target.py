"""Target networks: any `nn.Module`, run with weights that are passed in, such as generated ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise
from math import prod
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hnet_cl.hypernet.copies import copied

Interval = tuple[int, int]
Weights = Tensor | Mapping[str, Tensor]
Base = Literal["zero", "initial"]


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Returns the trainable parameters of a module by name: those that have `requires_grad` and are not empty.

    A parameter that is shared inside the module is listed once, under its first name.
    """
    return {name: p for name, p in module.named_parameters() if p.requires_grad and p.numel()}


class Start(NamedTuple):
    """The mean and standard deviation of a tensor's generated values before training."""

    mean: float
    std: float


class Piece(NamedTuple):
    """Rows of a parameter that lie together in a flat vector: those from `first` on, as many as `shape` says.

    What has no rows, a scalar, is one piece too.
    """

    name: str
    first: int
    shape: torch.Size


def sizes_of(pieces: Sequence[Piece]) -> tuple[int, ...]:
    """Returns how many numbers each piece has."""
    return tuple(prod(piece.shape) for piece in pieces)


@dataclass(frozen=True)
class Layout:
    """The positions of a module's trainable parameters in one flat vector of N numbers, in the module's own order.

    Rows that parameters have gained, as those of an output layer for new classes, lie behind all that was there before
    (`after`).

    Attributes:
        shapes: the parameters' shapes by name.
        starts: how a hypernetwork starts each of them, by name; None: all alike, whatever they are.
        earlier_rows: for each parameter that has gained rows, how many it had each time before.
    """

    shapes: Mapping[str, torch.Size]
    starts: Mapping[str, Start] | None = field(default=None, compare=False)
    earlier_rows: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, module: nn.Module) -> "Layout":
        """Builds the layout of the `trainable` parameters of `module`.

        Raises:
            ValueError: it has none, so there is nothing to generate.
        """
        shapes = {name: parameter.shape for name, parameter in trainable(module).items()}
        if not shapes:
            raise ValueError(f"{type(module).__name__} has no trainable parameters: a target network needs some")
        return cls(shapes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Returns the number of scalars in each parameter, in order."""
        return tuple(prod(shape) for shape in self.shapes.values())

    @property
    def total(self) -> int:
        """Returns N, the number of scalars in all parameters together."""
        return sum(self.sizes)

    def after(self, earlier: "Layout") -> "Layout":
        """Returns the layout of the same parameters whose flat vector begins with that of `earlier`.

        Raises:
            ValueError: `earlier` has other parameters, or they differ in more than the number of rows.
        """
        if [*earlier.shapes] != [*self.shapes]:
            raise ValueError(f"there are other parameters: {', '.join(self.shapes)} after {', '.join(earlier.shapes)}")
        gained: dict[str, tuple[int, ...]] = {}
        for name, shape in self.shapes.items():
            before = earlier.shapes[name]
            if shape != before:
                if not shape or len(before) != len(shape) or before[1:] != shape[1:] or before[0] >= shape[0]:
                    raise ValueError(f"{name} has the shape {tuple(shape)} after {tuple(before)}: not more rows alone")
                gained[name] = (*earlier.earlier_rows.get(name, ()), before[0])
        if gained and not earlier.earlier_rows.keys() <= gained.keys():
            raise ValueError(f"{', '.join(gained)} have gained rows, and before {', '.join(earlier.earlier_rows)} had")
        return replace(self, earlier_rows=gained or earlier.earlier_rows)

    @cached_property
    def pieces(self) -> list[Piece]:
        """Returns what the flat vector consists of, in order: the parameters, and then rows that were gained."""
        found = []
        for name, shape in self.shapes.items():
            rows = self.earlier_rows.get(name)
            found.append(Piece(name, 0, torch.Size((rows[0], *shape[1:])) if rows else shape))
        cuts = {name: (*rows, self.shapes[name][0]) for name, rows in self.earlier_rows.items()}
        for stage in range(max(map(len, self.earlier_rows.values()), default=0)):
            for name, ends in cuts.items():
                first, after = ends[stage : stage + 2]
                found.append(Piece(name, first, torch.Size((after - first, *self.shapes[name][1:]))))
        return found

    @property
    def piece_starts(self) -> list[Start]:
        """Returns how each of `pieces` starts; only for a layout that says so."""
        assert self.starts is not None
        return [self.starts[piece.name] for piece in self.pieces]

    def _intervals(self) -> list[tuple[Piece, Interval]]:
        ends = accumulate(sizes_of(self.pieces), initial=0)
        return list(zip(self.pieces, pairwise(ends), strict=True))

    def split(self, flat: Tensor) -> dict[str, Tensor]:
        """Splits weights (N,) into views with the parameters' names and shapes; of those that gained rows, copies."""
        found: dict[str, list[Tensor]] = {name: [] for name in self.shapes}
        for part, piece in zip(flat.split(sizes_of(self.pieces)), self.pieces, strict=True):
            found[piece.name].append(part.view(piece.shape))
        return {name: parts[0] if len(parts) == 1 else torch.cat(parts) for name, parts in found.items()}

    def flatten(self, named: Mapping[str, Tensor]) -> Tensor:
        """Concatenates named parameters to one vector (N,), the inverse of `split`."""
        parts = []
        for name, first, shape in self.pieces:
            whole = named[name]
            parts.append((whole[first : first + shape[0]] if name in self.earlier_rows else whole).reshape(-1))
        return torch.cat(parts)

    def interval(self, name: str) -> Interval:
        """Returns the half-open interval (start, stop) of a parameter in the flat vector.

        Raises:
            KeyError: there is no parameter of that name, or it has gained rows, so that it lies in several intervals.
        """
        for piece, interval in self._intervals():
            if piece.name == name and name not in self.earlier_rows:
                return interval
        raise KeyError(f"{name!r} is no parameter that lies in one piece; there are {', '.join(self.shapes)}")

    def without_other_rows(self, names: tuple[str, ...], rows: slice) -> list[Interval]:
        """Returns intervals of all positions except those rows of the parameters `names` that lie outside `rows`.

        For the parameters of an output layer ("head.weight", "head.bias") and the outputs of one task, these are the
        weights that the task's predictions depend on, and so those that the regulariser has to preserve (output-head
        masking of the official code).
        """
        kept = []
        for (name, first, shape), (start, stop) in self._intervals():
            if name in names:
                width, last = prod(shape[1:]), first + shape[0]
                own = max(rows.start, first), min(rows.stop, last)
                start, stop = (start + (row - first) * width for row in own)
            if start < stop:
                kept.append((start, stop))
        return kept


class TargetNetwork(nn.Module):
    """A module as a pure function of weights (N,) and inputs.

    The module is copied and the values of its trainable parameters are dropped, unless they are the base: then weights
    that are passed in, such as generated residuals, are added to these values W_0, which become a buffer of the target
    network. All other parameters (`requires_grad=False`) keep their values and become buffers too, so they belong to
    its state. The module's own buffers (such as BatchNorm's running statistics) are passed in by the caller, so that
    each task can have its own; a call in training mode updates them in place, as the module would.

    Args:
        module: the module.
        base: `initial` for W_0, `zero` for no base.
        layout: where its parameters lie in the vector of weights; None for their own order.

    Raises:
        ValueError: the module has no trainable parameters.
        TypeError: the module cannot be copied.
    """

    _module: nn.Module
    base: Tensor | None

    def __init__(self, module: nn.Module, base: Base = "zero", layout: Layout | None = None) -> None:
        super().__init__()
        self.layout = layout or Layout.of(module)
        own = self.layout.flatten(trainable(module)).detach() if base == "initial" else None
        self.register_buffer("base", own)
        self._frozen = {}  # names of buffers, which have no dots
        for name, parameter in module.named_parameters():
            if name not in self.layout.shapes:
                self._frozen[name] = f"frozen/{name.replace('.', '/')}"
                self.register_buffer(self._frozen[name], parameter.detach().clone())
        self._places = _places(module)
        hollow = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), False) for p in module.parameters()}
        object.__setattr__(self, "_module", copied(module, hollow))  # not a submodule, so not in `state_dict`

    @property
    def module(self) -> nn.Module:
        """Returns the copied module, to inspect its layers or to add hooks; its parameters hold no values."""
        return self._module

    def fresh_buffers(self) -> dict[str, Tensor]:
        """Returns copies, by name, of the buffers with which the module was passed in."""
        return {name: buffer.clone() for name, buffer in self._module.named_buffers()}

    def named_state(self, weights: Weights, buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns all parameters and buffers of the module by name.

        Args:
            weights: a flat vector (N,), or tensors by name as `Layout.split` returns them; relative to the base.
            buffers: the module's buffers by name.
        """
        if self.base is not None:
            weights = self.base + (weights if isinstance(weights, Tensor) else self.layout.flatten(weights))
        named = self.layout.split(weights) if isinstance(weights, Tensor) else weights
        frozen = {name: self.get_buffer(own) for name, own in self._frozen.items()}
        return {**named, **frozen, **buffers}

    def train(self, mode: bool = True) -> Self:
        """Switches the module to training (True) or evaluation mode, for dropout and BatchNorm; returns itself."""
        super().train(mode)
        self._module.train(mode)
        return self

    def forward(self, weights: Weights, inputs: Tensor, buffers: Mapping[str, Tensor] | None = None) -> Any:
        """Computes the module's output.

        Args:
            weights: as in `named_state`.
            inputs: what the module takes.
            buffers: the module's buffers by name, updated in place in training mode; None for `fresh_buffers`.
        """
        buffers = self.fresh_buffers() if buffers is None else buffers
        state = self.named_state(weights, buffers)
        placed = {place: state[name] for place, name in self._places.items()}
        output = functional_call(self._module, placed, (inputs,), tie_weights=False)
        if self.training:
            _keep(buffers, placed)
        return output


def _places(module: nn.Module) -> dict[str, str]:
    """Maps the path of every parameter and buffer in a module to the first path of the same tensor.

    A shared tensor has several paths, one in each module that holds it. A shared module is listed under its first
    name only: given all of its names, `functional_call` would not restore its original tensors.
    """
    first: dict[int, str] = {}
    places = {}
    for prefix, part in module.named_modules():  # each module once
        whole = {"recurse": False, "remove_duplicate": False}
        for name, tensor in (*part.named_parameters(**whole), *part.named_buffers(**whole)):
            place = f"{prefix}.{name}" if prefix else name
            places[place] = first.setdefault(id(tensor), place)
    return places


@torch.no_grad()
def _keep(buffers: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    """Copies into `buffers` the tensors by which a module has replaced them instead of changing them in place."""
    for name, buffer in buffers.items():
        new = after[name]
        if new is not buffer and new.shape == buffer.shape:
            buffer.copy_(new)

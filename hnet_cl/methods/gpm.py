"""Gradient projection memory: weights move orthogonally to the inputs of old tasks."""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.affine_layers import (
    affine_layers,
    require_output_layer,
    require_plain_layers,
    second_moments,
)
from hnet_cl.methods.parts.examples import inputs_of
from hnet_cl.methods.parts.restricted import Restricted

FirstBasis = Literal["below", "reach"]
Threshold = Annotated[float, Field(gt=0, le=1)]


class GPM(Restricted):
    """A classifier whose changes D of [W, b] become D - D M M^T (Saha, Garg & Roy, ICLR 2021).

    In each linear layer or convolution, the columns of M are an orthonormal basis of directions that hold the share
    `threshold` of the squared length of old tasks' inputs; a trained bias is the weight of an input that is 1 (in the
    authors' code there are no biases). The threshold grows by `threshold_growth` with each task; `thresholds` are those
    of the first layers, and the last of them is that of all others. Heads that tasks have for themselves, and that are
    read by the given task, are not restricted; those of other tasks stay as they are.
    """

    class Settings(Restricted.Settings):
        thresholds: Annotated[list[Threshold], Field(min_length=1)]
        threshold_growth: NonNegativeFloat
        first_basis: FirstBasis
        samples: PositiveInt | None

    settings: Settings
    divisible = True

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.layers = affine_layers(self.network, settings.name)
        self._own_heads = self.heads.separate and self.heads.task_known
        self._bases: list[Tensor] = []  # M (d, r) of each layer; none before the first task has been learned

    @property
    def bases(self) -> list[Tensor]:
        """Returns the basis M (d, r) of each restricted layer; none before the first task has been learned."""
        return self._bases

    def inspect(self, inputs: Tensor) -> list[str]:
        require_plain_layers(self.network, self.layers, inputs, self.settings.name)
        if self._own_heads:
            require_output_layer(self.network, self.layers[-1], inputs, self.settings.name)
        return []

    @torch.no_grad()
    def restrict(self, changes: list[Tensor]) -> None:
        restricted = self.layers[:-1] if self._own_heads else self.layers
        for layer, basis in zip(restricted, self._bases, strict=False):  # none in the first task
            change = layer.joined(changes)
            layer.put(change - change @ basis @ basis.T, changes)
        if self._own_heads:
            change, own = self.layers[-1].joined(changes), self.heads.own(self.latest)
            kept = torch.zeros_like(change)
            kept[own] = change[own]
            self.layers[-1].put(kept, changes)

    def end_task(self) -> None:
        if self.latest < self.heads.num_tasks - 1:  # else no further task could cause forgetting
            self.keep_for_later()

    def keep_for_later(self) -> None:
        settings = self.settings
        inputs = inputs_of(self.tasks[-1].train, settings.samples, self.context, self.latest)
        restricted = self.layers[:-1] if self._own_heads else self.layers
        bases = []
        for place, moment in enumerate(second_moments(self.network, restricted, inputs)):
            threshold = settings.thresholds[min(place, len(settings.thresholds) - 1)]
            threshold += self.latest * settings.threshold_growth
            if self._bases:
                bases.append(extended(self._bases[place], moment, threshold))
            else:
                bases.append(first_basis(moment, threshold, settings.first_basis))
        self._bases = bases

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"bases": self._bases}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self._bases = [basis.to(self.context.device) for basis in state["bases"]]


def first_basis(moment: Tensor, threshold: float, count: FirstBasis) -> Tensor:
    """Computes an orthonormal basis (d, r) of the directions that inputs with this mean of a a^T (d, d) have.

    Directions come in the order of their share of the inputs' squared length. `count` says how many there are: as many
    as reach the threshold together (`reach`, the paper's Eq. 5), or as stay `below` it (the authors' code).
    """
    if count == "reach":
        return extended(torch.zeros(len(moment), 0, device=moment.device), moment, threshold)
    squares, directions = _spectrum(moment)
    kept = int((squares.cumsum(0) / squares.sum() < threshold).sum())
    return directions[:, :kept].float()


def extended(basis: Tensor, moment: Tensor, threshold: float) -> Tensor:
    """Extends a basis (d, r) until it holds the share `threshold` of inputs with this mean of a a^T (d, d).

    The new directions are those of what the basis leaves of the inputs (Saha, Garg & Roy, Eq. 8 and 9).
    """
    old = basis.double()
    left = torch.eye(len(moment), dtype=moment.dtype, device=moment.device) - old @ old.T
    squares, directions = _spectrum(left @ moment @ left)
    total = moment.trace()
    held = total - squares.sum() + torch.cat([squares.new_zeros(1), squares.cumsum(0)])  # by the number of new ones
    kept = min(int((held < threshold * total).sum()), len(moment) - basis.shape[1])
    return torch.cat([basis, directions[:, :kept].float()], 1)


def _spectrum(moment: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the eigenvalues (d,), none below 0, in descending order, and the eigenvectors (d, d) as columns."""
    values, vectors = torch.linalg.eigh((moment + moment.T) / 2)
    return values.flip(0).clamp(min=0), vectors.flip(1)

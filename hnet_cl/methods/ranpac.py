"""RanPAC: ridge regression of the classes on random features of the inputs."""

from typing import NamedTuple

import torch
from pydantic import PositiveFloat
from torch import Tensor

from hnet_cl.benchmarks.base import Split
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.closed_form import ClosedForm
from hnet_cl.methods.parts.redrawn import Redrawn

RIDGES = tuple(10.0**power for power in range(-8, 9))  # among which one is chosen (authors' code)
FITTED = 0.8  # share of a task's examples that are fitted for that choice (authors' code)


class Sums(NamedTuple):
    """The sums on which the squared error of a linear map from features h to one-hot classes y depends, in float64.

    Attributes:
        gram: (M, M), sum of h h^T over the examples.
        products: (M, outputs), sum of h y^T.
        number: of the examples.
    """

    gram: Tensor
    products: Tensor
    number: int

    def error(self, weights: Tensor) -> float:
        """Computes the sum of squared errors ||H W - Y||^2 of weights W (M, outputs)."""
        quadratic = (weights * (self.gram @ weights)).sum()
        return float(quadratic - 2 * (weights * self.products).sum() + self.number)


class RanPAC(Redrawn, ClosedForm):
    """A classifier of h = relu(P^T x) with a fixed random matrix P ~ N(0, 1) (McDonnell et al., NeurIPS 2023).

    Its weights solve the ridge regression of the one-hot classes on h for the examples of all tasks so far, whose sums
    h h^T and h y^T are kept. With a given `ridge` the order of tasks and examples does not matter. Without one, it is
    chosen after each task: a random part of the task's examples is fitted, and the squared error on the others decides.

    `projected` is the number of columns of P. It is drawn from the seed, which is all that has to be stored of it.
    """

    class Settings(ClosedForm.Settings):
        projected: base.Size
        ridge: PositiveFloat | None

    settings: Settings
    seed_key = "projection seed"
    projection: Tensor
    gram: Tensor
    products: Tensor
    weights: Tensor

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        size, outputs = settings.projected, self.heads.num_outputs
        self.register_buffer("projection", self._drawn(), persistent=False)
        self.register_buffer("gram", torch.zeros(size, size, dtype=torch.float64))
        self.register_buffer("products", torch.zeros(size, outputs, dtype=torch.float64))
        self.register_buffer("weights", torch.zeros(size, outputs))

    def _drawn(self) -> Tensor:
        return self.normal(Stream.PROJECTION, self.width, self.settings.projected)

    @property
    def target_size(self) -> int:
        return self.weights.numel()

    def features(self, inputs: Tensor) -> Tensor:
        """Computes h (b, M) of flat inputs (b, d)."""
        return (inputs @ self.projection).relu()

    def learn(self, data: Split) -> None:
        draws = stream(self.context.seed, Stream.RIDGE, self.latest)
        order = torch.randperm(len(data), generator=draws).to(data.labels.device)
        fitted = int(FITTED * len(data))
        parts = [self._sums(data, part) for part in (order[:fitted], order[fitted:])]
        for part in parts:
            self.gram += part.gram
            self.products += part.products
        ridge = self.settings.ridge or self._chosen_ridge(data, order[:fitted], *parts)
        self.weights.copy_(solution(self.gram, self.products, ridge))

    def _sums(self, data: Split, index: Tensor) -> Sums:
        gram, products = torch.zeros_like(self.gram), torch.zeros_like(self.products)
        for inputs, outputs in self.examples(data, index):
            found = self.features(inputs).double()
            gram += found.T @ found
            products += found.T @ outputs.double()
        return Sums(gram, products, len(index))

    def _chosen_ridge(self, data: Split, index: Tensor, fitted: Sums, held_out: Sums) -> float:
        """Returns the one of `RIDGES` whose solution for the examples `index` has the least squared error on others.

        Where they are fewer than features, the solution is computed as H^T (H H^T + ridge I)^-1 Y, a smaller system.
        """
        system = fitted.gram, fitted.products
        back: Tensor | None = None
        if len(index) < len(self.gram):
            found, outputs = zip(*self.examples(data, index), strict=True)
            rows = self.features(torch.cat(found)).double()
            system, back = (rows @ rows.T, torch.cat(outputs).double()), rows.T
        errors = []
        for ridge in RIDGES:
            weights = solution(*system, ridge)
            errors.append(held_out.error(weights if back is None else back @ weights))
        return RIDGES[errors.index(min(errors))]

    def logits(self, inputs: Tensor) -> Tensor:
        return self.features(inputs) @ self.weights

    def redraw(self) -> None:
        self.projection.copy_(self._drawn())


def solution(matrix: Tensor, right: Tensor, ridge: float) -> Tensor:
    """Computes (matrix + ridge I)^-1 right (n, C) for a matrix (n, n).

    With H^T H and H^T Y these are the weights W with the least ||H W - Y||^2 + ridge ||W||^2.
    """
    return torch.linalg.solve(matrix + ridge * torch.eye(len(matrix)).to(matrix), right)

"""Hard attention to the task: each task learns which hidden units it uses, and keeps their weights."""

from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.affine_layers import AffineLayer
from hnet_cl.methods.parts.gates import Gated
from hnet_cl.methods.parts.restricted import Restricted
from hnet_cl.scenario import ScenarioSettings

LARGEST = 50.0  # of s e in the compensation, so that cosh stays finite (authors' code)
FURTHEST = 6.0  # an embedding from zero (authors' code)


class HAT(Gated, Restricted):
    """A classifier with gates a = sigmoid(s e) of each task's embeddings e (Serra et al., ICML 2018).

    In training, s grows from 1 / `steepest` to `steepest` within each sweep over the task's data (Eq. 3); otherwise it
    is `steepest`. The loss has the term `strength` * sum a (1 - P) / sum (1 - P) (Eq. 5), where P is the largest gate
    that a unit has had for an old task. Changes of a weight are multiplied by 1 - min(P of its unit, P of the unit that
    it reads), those of a bias and of the first layer's weights by 1 - P (Eq. 2). Heads of other tasks do not change.
    """

    class Settings(Restricted.Settings):
        strength: NonNegativeFloat
        steepest: PositiveFloat

    settings: Settings

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        tasks, draws = self.heads.num_tasks, stream(context.seed, Stream.GATES)
        first = (torch.randn(tasks, units, generator=draws, device="cpu") for units in self.units)
        self.embeddings = nn.ParameterList(nn.Parameter(one.to(context.device)) for one in first)
        for layer, units in enumerate(self.units):
            self.register_buffer(f"used_{layer}", torch.zeros(units))
        self.register_buffer("slope", torch.tensor(settings.steepest))  # s of the step that is being made
        self._soft = False  # whether gates are those of a step
        self._factors: list[Tensor] = []  # of changes, one for each of `weights`

    @classmethod
    def unsupported(cls, settings: Settings, scenario: ScenarioSettings) -> str | None:
        if scenario.task_known and scenario.heads == "shared":
            return "no task may change the head of another one; use scenario.heads=separate"
        return super().unsupported(settings, scenario)

    @property
    def used(self) -> list[Tensor]:
        """Returns P (units,) of each hidden layer: the largest gate that a unit has had for a task learned so far."""
        return [self.get_buffer(f"used_{layer}") for layer in range(len(self.units))]

    def optimized(self) -> Iterable[nn.Parameter]:
        return chain(super().optimized(), self.embeddings)

    def gates(self, task: int) -> Sequence[Tensor]:
        slope = self.get_buffer("slope") if self._soft else self.settings.steepest
        return [(slope * embedding[task]).sigmoid() for embedding in self.embeddings]

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        factors = {}
        for place, layer in enumerate(self.layers):
            factors[layer.weight], of_bias = self._factors_of(place, layer)
            if layer.bias is not None:
                factors[layer.bias] = of_bias
        self._factors = [factors[place] for place in range(len(self.weights))]

    def _factors_of(self, place: int, layer: AffineLayer) -> tuple[Tensor, Tensor]:
        """Computes the factors of changes of a layer's weights and of its bias (outputs,)."""
        weight = self.weights[layer.weight].detach()
        if place == len(self.units):
            rows = torch.zeros_like(weight.flatten(1)[:, 0])
            rows[self.heads.own(self.latest)] = 1.0
            return rows.view(-1, *[1] * (weight.dim() - 1)).expand_as(weight), rows
        rows = self.used[place]
        used = rows.view(-1, *[1] * (weight.dim() - 1)).expand_as(weight)
        if place:
            used = used.minimum(self.columns(layer, self.used[place - 1]))
        return 1 - used, 1 - rows

    def prepare(self, size: int) -> None:
        """Counts the next step and sets its s, by its place in the sweep over the task's data."""
        super().prepare(size)
        steepest, number = self.settings.steepest, len(self.tasks[-1].train)
        swept = (self.done - 1) * size % number / number
        self.get_buffer("slope").fill_(1 / steepest + (steepest - 1 / steepest) * swept)

    def backward(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        self._soft = True
        try:
            return super().backward(inputs, labels, tasks)
        finally:
            self._soft = False

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if not self.units:
            return {}
        slope = self.get_buffer("slope")
        attention = self.attention(slope)
        (self.settings.strength * attention).backward()
        with torch.no_grad():  # as if s were `steepest` in the slope of the sigmoid (section 2.4)
            for embedding in self.embeddings:
                assert embedding.grad is not None
                steep = (slope * embedding).clamp(-LARGEST, LARGEST).cosh() + 1
                embedding.grad.mul_(self.settings.steepest / slope * steep / (embedding.cosh() + 1))
        return {"attention": attention.detach()}

    def attention(self, slope: Tensor) -> Tensor:
        """Computes sum a (1 - P) / sum (1 - P), the share of the units not used so far that the newest task uses."""
        free = [1 - used for used in self.used]
        wanted = [
            ((slope * embedding[self.latest]).sigmoid() * one).sum()
            for embedding, one in zip(self.embeddings, free, strict=True)
        ]
        zero = torch.zeros((), device=slope.device)
        return sum(wanted, zero) / sum((one.sum() for one in free), zero).clamp(min=1e-12)

    @torch.no_grad()
    def restrict(self, changes: list[Tensor]) -> None:
        torch._foreach_mul_(changes, self._factors)

    def step(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> dict[str, Tensor]:
        before = [embedding.detach().clone() for embedding in self.embeddings]
        losses = super().step(inputs, labels, tasks)
        with torch.no_grad():
            for embedding, old in zip(self.embeddings, before, strict=True):
                old[self.latest] = embedding[self.latest].clamp(-FURTHEST, FURTHEST)
                embedding.copy_(old)
        return losses

    @torch.no_grad()
    def end_task(self) -> None:
        for used, gates in zip(self.used, self.gates(self.latest), strict=True):
            used.copy_(used.maximum(gates))

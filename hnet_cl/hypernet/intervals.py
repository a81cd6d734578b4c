"""Hypernetworks that map a box of embeddings to a box of weights, by interval arithmetic.

HyperInterval and HINT (Krukowski et al., arXiv 2405.15444). An affine layer maps a box with centre c and radius r >= 0
to one with centre W c + b and radius |W| r. A monotone activation f maps it to the box between f(c - r) and f(c + r).
So every embedding in the box gives weights in the box that is computed, up to rounding.

The centre of that box is not h(e_t), because f(c - r) and f(c + r) do not lie around f(c) unless f is linear there.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.regularizer import OutputRegularizer
from hnet_cl.hypernet.target import Interval

ENDS = (-1.0, 0.0, 1.0)  # lower end, centre and upper end of a box, in units of its radius


class Box(NamedTuple):
    """Weights (N,) of a target network: lower ends, centre and upper ends."""

    low: Tensor
    centre: Tensor
    high: Tensor


class IntervalHypernetwork(Hypernetwork):
    """A hypernetwork whose task embeddings are centres of boxes; see the module's docstring.

    The box of task t has the radius r_t = radius * softmax(p_t) (E,), where p_t is learned with e_t and starts at 0.
    Chunk embeddings are points. What `forward` and `generate` make is the centre of the box of weights.

    Args:
        layout, num_tasks: as for `Hypernetwork`, like all other keyword arguments.
        radius: the sum of a box's radii over its E dimensions (gamma in the paper); 0 for points.
        sizes: keyword arguments of `Hypernetwork`.

    Raises:
        ValueError: `radius` is negative, the layout has starts, which is not implemented, or as for `Hypernetwork`.
    """

    OF_TASKS = ("task_embeddings", "radius_logits")

    def __init__(self, layout: Any, num_tasks: int, *, radius: float, **sizes: Any) -> None:
        if radius < 0:
            raise ValueError(f"radius={radius}: give a number from 0 on")
        if layout.starts is not None:
            raise ValueError("layout.starts: boxes start as Xavier's matrices make them; give a layout without starts")
        super().__init__(layout, num_tasks, **sizes)
        self.radius = radius
        self.radius_logits = nn.ParameterList(torch.zeros_like(embedding) for embedding in self.task_embeddings)

    def add_task(self) -> int:
        number = super().add_task()
        self.radius_logits.append(nn.Parameter(torch.zeros_like(self.task_embeddings[number])))
        return number

    @property
    def separates(self) -> bool:
        return False

    def embeddings(self, tasks: Sequence[int]) -> Tensor:
        """Returns the boxes [e_t, r_t] (B, 2E) of several tasks."""
        radii = torch.stack([self.radius_logits[task] for task in tasks]).softmax(1) * self.radius
        return torch.cat([super().embeddings(tasks), radii], dim=1)

    def features(self, embeddings: Tensor, theta: Theta | None = None) -> Tensor:
        """Computes the last layer's input psi = [c; 1] (B, K, H+1), with c the centres of boxes (B, 2E)."""
        return self.box_of_features(embeddings, theta)[0]

    def features_of_pairs(self, embeddings: Tensor, chunks: Tensor, theta: Theta | None = None) -> Tensor:
        """Computes psi (n, H+1) for n pairs of a box (n, 2E) and a chunk index (n,)."""
        return self.box_of_pairs(embeddings, chunks, theta)[0]

    def box_of_features(self, boxes: Tensor, theta: Theta | None = None) -> tuple[Tensor, Tensor]:
        """Computes psi (B, K, H+1) and the radius (B, K, H) of the last layer's input, for boxes (B, 2E)."""
        theta = self.theta if theta is None else theta
        centre, radius = boxes.chunk(2, dim=1)
        chunks, size = theta["chunk_embeddings"], centre.shape[1]
        if not len(self.trunk):
            both = len(boxes), len(chunks), -1
            codes = torch.cat([centre[:, None].expand(both), chunks.expand(both)], dim=2)
            return _with_one(codes), F.pad(radius[:, None].expand(both), (0, chunks.shape[1]))
        weight = theta["trunk.0.weight"]
        of_tasks = F.linear(centre, weight[:, :size], theta["trunk.0.bias"])  # (B, H0)
        radius = F.linear(radius, weight[:, :size].abs())[:, None]
        centre = of_tasks[:, None] + F.linear(chunks, weight[:, size:])
        return self._through(centre, radius, theta)

    def box_of_pairs(self, boxes: Tensor, chunks: Tensor, theta: Theta | None = None) -> tuple[Tensor, Tensor]:
        """Computes psi (n, H+1) and the radius (n, H) for n pairs of a box (n, 2E) and a chunk index (n,)."""
        theta = self.theta if theta is None else theta
        centre, radius = boxes.chunk(2, dim=1)
        codes = torch.cat([centre, theta["chunk_embeddings"][chunks]], dim=1)
        radius = F.pad(radius, (0, codes.shape[1] - radius.shape[1]))
        if not len(self.trunk):
            return _with_one(codes), radius
        weight, bias = theta["trunk.0.weight"], theta["trunk.0.bias"]
        return self._through(F.linear(codes, weight, bias), F.linear(radius, weight.abs()), theta)

    def _through(self, centre: Tensor, radius: Tensor, theta: Theta) -> tuple[Tensor, Tensor]:
        """Computes psi (..., H+1) and the radius (..., H) from the box of the first layer's pre-activations."""
        for i in range(1, len(self.trunk)):
            weight = theta[f"trunk.{i}.weight"]
            centre, radius = self._activated(centre, radius)
            centre, radius = F.linear(centre, weight, theta[f"trunk.{i}.bias"]), F.linear(radius, weight.abs())
        centre, radius = self._activated(centre, radius)
        return _with_one(centre), radius

    def _activated(self, centre: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self.activation(centre - radius), self.activation(centre + radius)
        return (low + high) / 2, (high - low) / 2

    def box(self, task: int, share: Tensor | float = 1.0) -> Box:
        """Generates the box of the weights of task `task`; `share` shrinks the radius of the box of embeddings."""
        centre, radius = self.embeddings([task]).chunk(2, dim=1)
        psi, spread = self.box_of_features(torch.cat([centre, share * radius], dim=1))
        middle = self.generate(psi)[0]
        deviation = self.generate(spread, {"head": self.head[:-1].abs()})[0]
        return Box(middle - deviation, middle, middle + deviation)


class Ends(Hypernetwork):
    """The ends and the centres of the boxes of T tasks as the outputs of one hypernetwork for 3 T tasks.

    They are linear in c and r: W c + b + s |W| r = [W, b, |W|] (c, 1, s r) with s = -1, 0 or 1. So a regulariser that
    looks at the last layer, such as `GramRegularizer`, is exact for all three. Task 3 t + i has end number i of task t.

    It is made for a regulariser: its last layer (2H+1, S) has the values of the time of construction, and theta is
    passed to it with the last layer that `widened` returns.
    """

    def __init__(self, of: IntervalHypernetwork) -> None:
        nn.Module.__init__(self)
        self.layout, self.activation, self.plastic = of.layout, of.activation, False
        self.block_size, self.num_chunks, self.chunks = of.block_size, of.num_chunks, of.chunks
        self.scales = self.offsets = None
        self.trunk, self.chunk_embeddings = of.trunk, of.chunk_embeddings
        self.head = nn.Parameter(widened(of.head.detach()), requires_grad=False)
        self._of = [of]  # in a list, as it is no part of this module

    @property
    def separates(self) -> bool:
        return False

    def embeddings(self, tasks: Sequence[int]) -> Tensor:
        """Returns boxes and ends [e, r, s] (B, 2E+1)."""
        boxes = self._of[0].embeddings([task // len(ENDS) for task in tasks])
        return torch.cat([boxes, boxes.new_tensor([[ENDS[task % len(ENDS)]] for task in tasks])], dim=1)

    def features(self, embeddings: Tensor, theta: Theta | None = None) -> Tensor:
        """Computes [c; 1; s r] (B, K, 2H+1) for rows [e, r, s] (B, 2E+1)."""
        psi, radius = self._of[0].box_of_features(embeddings[:, :-1], theta)
        return torch.cat([psi, (embeddings[:, -1, None, None] * radius).expand(*psi.shape[:-1], -1)], dim=-1)

    def features_of_pairs(self, embeddings: Tensor, chunks: Tensor, theta: Theta | None = None) -> Tensor:
        """Computes [c; 1; s r] (n, 2H+1) for n pairs of a row [e, r, s] (n, 2E+1) and a chunk index (n,)."""
        psi, radius = self._of[0].box_of_pairs(embeddings[:, :-1], chunks, theta)
        return torch.cat([psi, embeddings[:, -1:] * radius], dim=-1)


class EndsRegularizer(OutputRegularizer):
    """The mean of R over lower ends, centres and upper ends of the boxes of old tasks.

    Args:
        hypernetwork, tasks, kept, generator: as for `OutputRegularizer`.
        kind: builds the regulariser of points that is taken for the three.
    """

    def __init__(
        self,
        hypernetwork: IntervalHypernetwork,
        tasks: Sequence[int],
        kept: Sequence[Sequence[Interval]] | None = None,
        generator: torch.Generator | None = None,
        *,
        kind: Any,
    ) -> None:
        super().__init__(hypernetwork, tasks, kept, generator)
        ends = [len(ENDS) * task + end for task in tasks for end in range(len(ENDS))]
        of_ends = None if kept is None else [intervals for intervals in kept for _ in ENDS]
        self.of_ends: OutputRegularizer = kind(Ends(hypernetwork), ends, of_ends, generator)
        self.capturable = self.of_ends.capturable

    def __call__(self, theta: Theta) -> Tensor:
        return self.of_ends({**theta, "head": widened(theta["head"])})


def widened(head: Tensor) -> Tensor:
    """Returns [A; |W|] (2H+1, S) for a last layer A = [W; b] (H+1, S), transposed."""
    return torch.cat([head, head[:-1].abs()])


def _with_one(features: Tensor) -> Tensor:
    return F.pad(features, (0, 1), value=1)

"""HINT: a hypernetwork maps a box of embeddings to a box of weights, all of which have to classify a task.

Krukowski, Bielawska, Ksiazek, Wawrzynski, Batorski and Spurek, HyperInterval and HINT, arXiv 2405.15444.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.hypernet import EndsRegularizer, Hypernetwork, IntervalHypernetwork, Layout, OutputRegularizer
from hnet_cl.methods.base import Context, Learner
from hnet_cl.methods.hnet import HNet
from hnet_cl.methods.parts.certificates import Certifying
from hnet_cl.methods.parts.interval_bounds import Bounds, IntervalBounds, worst_case
from hnet_cl.targets.bfloat16 import BFloat16

Share = Annotated[float, Field(ge=0, le=1)]


class HINT(HNet, Certifying):
    """HNET with a box of embeddings for each task, and so a box of weights (see `hnet_cl.hypernet.intervals`).

    The loss is kappa CE(z, y) + (1 - kappa) CE(z', y): z are the logits of the box's centre, which also answers, and z'
    the worst logits of all weights in the box: the lower bound for the label, upper bounds for the other classes. In
    the first `ramp` of a task's steps the box grows linearly from a point to its size, and kappa falls from 1 to
    `kappa`.

    After a task, the certified accuracy is the share of test examples that all weights in the box classify rightly.
    """

    divisible = False

    class Settings(HNet.Settings):
        """Settings of the method.

        `radius` (gamma in the paper): sum of the radii of a box of embeddings. `protected`: what the regulariser holds
        of old tasks, the mean over both ends and the centre of their boxes, or the centre alone.
        """

        radius: Annotated[float, Field(ge=0, le=1e4)]  # more is more than float32 can follow through a network
        kappa: Share
        ramp: Share
        protected: Literal["box", "centre"]

        @model_validator(mode="after")
        def _of_boxes(self) -> Self:
            if self.hypernet.old_embeddings == "plastic":
                raise ValueError(
                    "hypernet.old_embeddings=plastic: the boxes of old tasks have to rest; set "
                    "hypernet.old_embeddings=frozen"
                )
            self.hypernet.require_xavier("boxes of weights are generated here")
            return self

        def make_hypernetwork(self, layout: Layout, num_tasks: int) -> Hypernetwork:
            return self.hypernet.make(layout, num_tasks, partial(IntervalHypernetwork, radius=self.radius))

        @property
        def make_regularizer(self) -> Callable[..., OutputRegularizer]:
            of_points = self.regularizer.make
            return of_points if self.protected == "centre" else partial(EndsRegularizer, kind=of_points)

    settings: Settings
    hypernetwork: IntervalHypernetwork
    steps_done: Tensor

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.bounds = IntervalBounds(self.target, settings.name)
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))  # of the present task
        self._growing = 0.0  # steps in which the box grows

    @classmethod
    def unsupported_regression(cls, settings: HNet.Settings) -> str | None:
        return Learner.unsupported_regression(settings)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.steps_done.zero_()
        self._growing = self.settings.ramp * (self.task_steps or 0)

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        task, grown = self.latest, self._grown()
        own, buffers = self.heads.own(task), self.networks.buffers_of(task)
        box = self.hypernetwork.box(task, grown)
        centre = self.task_loss(self.target(box.centre, inputs, buffers), labels, own)
        worst = F.cross_entropy(worst_case(self._of_head(self.bounds(box, buffers, inputs), task), labels), labels)
        kappa = 1 - (1 - self.settings.kappa) * grown
        self.steps_done += 1
        return kappa * centre + (1 - kappa) * worst

    def _grown(self) -> Tensor:
        """Returns the size of the box in the present step, as a share of its final size."""
        done = self.steps_done.to(torch.float32)
        return (done / max(self._growing - 1, 1)).clamp(max=1) if self._growing else torch.ones_like(done)

    def _of_head(self, bounds: Bounds, task: int) -> Bounds:
        own = self.heads.own(task)
        return Bounds(bounds.low[:, own], bounds.high[:, own])

    @property
    def certifies(self) -> bool:
        return self.heads.task_known and not isinstance(self.target.module, BFloat16)

    @torch.no_grad()
    def certified(self, inputs: Tensor, labels: Tensor, task: int) -> Tensor:
        bounds = self.bounds(self.hypernetwork.box(task), self.networks.buffers_of(task), inputs)
        worst = worst_case(self._of_head(bounds, task), labels)
        others = worst.scatter(1, labels[:, None], -torch.inf).amax(1)
        return worst.gather(1, labels[:, None])[:, 0] > others

    def kept_bytes(self) -> dict[str, int]:
        return {part: size for part, size in super().kept_bytes().items() if part != "steps_done"}

"""PackNet: each task takes some of the weights that are left, and no later task changes them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.task_weights import TaskWeights

Share = Annotated[float, Field(ge=0, lt=1)]
FREE = 0  # owner of a weight that no task has


class PackNet(TaskWeights):
    """A classifier that packs tasks into one network by pruning (Mallya & Lazebnik, CVPR 2018).

    A task trains all weights that are free. In each layer it then gives up the share `pruned` of them, those with the
    smallest absolute values, and trains the rest for the share `retraining` of its steps. These are its own; it also
    sees those of earlier tasks. The last task gives up none. Biases are trained by the first task alone. A head that a
    task has for itself is neither pruned nor changed by others. No optimiser moves weights of other tasks.

    `left` says what becomes of weights that are given up: they are set to `zero` (the paper), or stay as they are for
    the next task to start from, unseen until then (`kept`; Avalanche).
    """

    class Settings(TaskWeights.Settings):
        pruned: Share
        retraining: Share
        left: Literal["zero", "kept"]

    settings: Settings
    unextendable = "its last task takes all weights that are left"

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self._pruned = False  # whether the present task has given up weights
        for place, weight in enumerate(self.weights):
            self.register_buffer(f"owner_{place}", torch.zeros(weight.shape, dtype=torch.int16))
        if self.own_heads:
            for task in range(self.heads.num_tasks):
                for place in self.head:
                    self.owners[place][self.heads.own(task)] = task + 1

    @property
    def owners(self) -> list[Tensor]:
        """Returns the number of the task, from 1, that each weight belongs to, one tensor for each of `weights`.

        Free weights have the number 0.
        """
        return [self.get_buffer(f"owner_{place}") for place in range(len(self.weights))]

    def weights_for(self, task: int) -> Sequence[Tensor]:
        return [
            weight * ((owner > FREE) & (owner <= task + 1))
            for weight, owner in zip(self.weights, self.owners, strict=True)
        ]

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self._pruned = False
        for owner in self.owners:
            owner[owner == FREE] = self.latest + 1

    def prepare(self, size: int) -> None:
        """Counts the next step, and before the first one of retraining gives up weights."""
        super().prepare(size)
        if self.task_steps is not None and self.done > round((1 - self.settings.retraining) * self.task_steps):
            self.prune()

    def step(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> dict[str, Tensor]:
        if not self._prepared:
            self.prepare(len(inputs))
        before = [weight.detach().clone() for weight in self.weights]
        losses = super().step(inputs, labels, tasks)
        with torch.no_grad():
            for weight, old, owner in zip(self.weights, before, self.owners, strict=True):
                weight.copy_(torch.where(owner == self.latest + 1, weight, old))
        return losses

    @torch.no_grad()
    def prune(self) -> None:
        """Gives up weights of the present task, once and unless it is the last one."""
        if self._pruned or self.latest == self.heads.num_tasks - 1:
            return
        self._pruned = True
        for layer in self.layers[:-1] if self.own_heads else self.layers:
            weight, owner = self.weights[layer.weight], self.owners[layer.weight]
            own = owner == self.latest + 1
            number = int(self.settings.pruned * int(own.sum()))
            smallest = torch.where(own, weight.abs(), torch.inf).flatten().argsort(stable=True)[:number]
            owner.view(-1)[smallest] = FREE
            if self.settings.left == "zero":
                weight.view(-1)[smallest] = 0.0

    def end_task(self) -> None:
        self.prune()

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"pruned": self._pruned}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self._pruned = state["pruned"]

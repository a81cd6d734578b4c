"""The networks of all tasks: a target network with the weights that a hypernetwork generates. A part of methods."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.hypernet import Hypernetwork, TargetNetwork, copied
from hnet_cl.methods.base import Context, Prediction
from hnet_cl.methods.parts.network import called
from hnet_cl.methods.parts.vectorized import at_once, obstacle, one_by_one
from hnet_cl.scenario import gather_heads

GROUP_NUMBERS = 50_000_000  # float32 numbers (200 MB) that the tasks evaluated together may take


class TaskNetworks:
    """The networks with which a learner with a hypernetwork predicts; their state belongs to the learner.

    Attributes:
        target: a pure function of weights (N,), inputs (b, *in_shape) and buffers.
        hypernetwork: generates the weights of each task.
        heads: the outputs of each task.
        buffers: the target network's buffers by name, such as running statistics, for each task begun so far.
    """

    def __init__(self, target: TargetNetwork, hypernetwork: Hypernetwork, context: Context) -> None:
        self.target = target
        self.hypernetwork = hypernetwork
        self.heads = context.heads
        self.buffers: dict[int, dict[str, Tensor]] = {}
        self._seed = context.seed
        # With vmap, convolutions become grouped ones, which take three times as long; batch norm fails in bfloat16.
        slow = any(isinstance(layer, nn.Conv2d | _BatchNorm) for layer in target.module.modules())
        self._one_by_one = True if slow else None  # None until `_try_at_once` decides

    def logits(self, inputs: Tensor, task: int) -> Tensor:
        """Computes all outputs (b, n) of a task's network for inputs (b, *in_shape)."""
        logits: Tensor = self.target(self.hypernetwork(task), inputs, self.buffers[task])
        return logits

    def logits_of(self, inputs: Tensor, tasks: Sequence[int]) -> Tensor:
        """Computes logits (T, b, C) of each task's own head from its own network; -inf beyond a task's classes.

        C is the largest number of classes of a task.
        """
        return torch.cat([self._of_group(inputs, group) for group in self._groups(tasks, len(inputs))])

    def inspect(self, inputs: Tensor) -> list[str]:
        """Tries whether several tasks' networks can be evaluated at once; returns a line for the user if they cannot.

        Returns no line if this is known already.
        """
        if self._one_by_one is not None or (reason := self._try_at_once(inputs)) is None:
            return []
        return [
            f"{called(self.target.module)}: the tasks' networks are asked one after another, as torch.func.vmap cannot "
            f"ask them at once ({reason}); the inference of tasks takes longer"
        ]

    def _groups(self, tasks: Sequence[int], batch: int) -> list[Sequence[int]]:
        """Splits tasks into groups that are evaluated together, whose weights and logits fit in `GROUP_NUMBERS`.

        Hidden activations are not counted; with large ones, choose a smaller eval_batch_size.
        """
        size = max(1, GROUP_NUMBERS // (self.target.layout.total + batch * self.heads.num_outputs))
        return [tasks[start : start + size] for start in range(0, len(tasks), size)]

    def _of_group(self, inputs: Tensor, tasks: Sequence[int]) -> Tensor:
        buffers = [self.buffers[task] for task in tasks]
        if self._one_by_one is None:  # `inspect` has not been called
            self._try_at_once(inputs[:2])
        ask = one_by_one if self._one_by_one else at_once
        return gather_heads(ask(self.target, self._weights(tasks), inputs, buffers), self.heads, tasks)

    def _weights(self, tasks: Sequence[int]) -> Tensor:
        return self.hypernetwork.generate(self.hypernetwork.features(self.hypernetwork.embeddings(tasks)))

    @torch.no_grad()
    def _try_at_once(self, inputs: Tensor) -> str | None:
        """Decides whether several tasks' networks are evaluated at once; returns the reason if they are not."""
        target = copied(self.target).train(False)
        weights = self._weights(range(min(2, self.heads.num_tasks)))
        given: Any = target, weights, inputs, [self.target.fresh_buffers() for _ in weights]
        with seeded(self._seed, Stream.INSPECTION):
            reason = obstacle(lambda: [at_once(*given)], lambda: [one_by_one(*given)])
        self._one_by_one = reason is not None
        return reason


class Candidates:
    """A batch of inputs and the networks of all tasks learned so far, one of which has to predict for each input.

    Attributes:
        networks: the tasks' networks.
        inputs: the inputs (b, *in_shape).
        tasks: the tasks learned so far, 0 to T-1.
    """

    def __init__(self, networks: TaskNetworks, inputs: Tensor, number: int) -> None:
        self.networks = networks
        self.inputs = inputs
        self.tasks = range(number)

    @cached_property
    def logits(self) -> Tensor:
        """Computes logits (T, b, C) of each task's own head from its own network; -inf beyond a task's classes.

        C is the largest number of classes of a task. All networks are generated and evaluated at the first access.
        """
        return self.networks.logits_of(self.inputs, self.tasks)

    def answer(self, tasks: Tensor, scores: Tensor) -> Prediction:
        """Predicts for each input with the network of the task (b,) inferred for it; `scores` (b,) are passed on."""
        if "logits" not in vars(self):
            return self._ask(tasks, scores)
        chosen = self.logits[tasks, torch.arange(len(tasks), device=tasks.device)]
        starts = torch.tensor([self.networks.heads.own(task).start for task in self.tasks], device=tasks.device)
        return Prediction(chosen.argmax(1) + starts[tasks], tasks, scores, chosen)

    def _ask(self, tasks: Tensor, scores: Tensor) -> Prediction:
        """Does the same as `answer` if `logits` are not computed: evaluates each network on its own inputs only."""
        heads = self.networks.heads
        output = torch.empty_like(tasks)
        chosen = self.inputs.new_full((len(tasks), heads.widest), -torch.inf)
        for task in tasks.unique().tolist():
            here, own = tasks == task, heads.own(task)
            logits = self.networks.logits(self.inputs[here], task)[:, own]
            output[here] = heads.label(logits.argmax(1), task)
            chosen[here, : own.stop - own.start] = logits
        return Prediction(output, tasks, scores, chosen)

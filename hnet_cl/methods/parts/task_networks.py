"""The networks of all tasks: one target network with weights for each task. A part of methods."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hnet_cl.core.checks import attempt
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.hypernet import Hypernetwork, TargetNetwork, copied, trainable
from hnet_cl.methods.base import Context, Prediction
from hnet_cl.methods.parts.directional import derivatives
from hnet_cl.methods.parts.network import called
from hnet_cl.methods.parts.supermasks import Supermasks
from hnet_cl.methods.parts.vectorized import at_once, obstacle, one_by_one
from hnet_cl.scenario import gather_heads

GROUP_NUMBERS = 50_000_000  # float32 numbers (200 MB) that the tasks evaluated together may take


class TaskNetworks(ABC):
    """The networks with which a learner predicts, one for each task; their state belongs to the learner.

    Attributes:
        heads: the outputs of each task.
    """

    def __init__(self, context: Context) -> None:
        self.heads = context.heads
        self._seed = context.seed
        self._one_by_one: bool | None = None  # None until `_try_at_once` decides

    @property
    @abstractmethod
    def target(self) -> TargetNetwork:
        """Returns the networks as one pure function of weights (N,), inputs (b, *in_shape) and buffers."""

    @abstractmethod
    def weights(self, tasks: Sequence[int]) -> Tensor:
        """Returns the weights (T, N) of the networks of several tasks, relative to the base of `target`."""

    @abstractmethod
    def buffers_of(self, task: int) -> Mapping[str, Tensor]:
        """Returns the buffers of a task's network by name, such as running statistics."""

    def superposed(self, tasks: Sequence[int]) -> tuple[Tensor, Iterator[Tensor]]:
        """Returns the weights of one network in which several tasks have equal shares 1/T, and how shares change them.

        By default weights W_i are averaged: sum_i a_i W_i at a_i = 1/T, in which W_i is how share a_i changes them.

        Returns:
            weights (N,), and for each task the derivative (N,) of the weights with respect to its share.
        """
        total = sum((self.weights([task])[0] for task in tasks), torch.zeros(()))
        return total / len(tasks), (self.weights([task])[0] for task in tasks)

    def logits(self, inputs: Tensor, task: int) -> Tensor:
        """Computes all outputs (b, n) of a task's network for inputs (b, *in_shape)."""
        logits: Tensor = self.target(self.weights([task]).view(-1), inputs, self.buffers_of(task))
        return logits

    def logits_of(self, inputs: Tensor, tasks: Sequence[int]) -> Tensor:
        """Computes logits (T, b, C) of each task's own head from its own network; -inf beyond a task's classes.

        C is the largest number of classes of a task.
        """
        return torch.cat([self._of_group(inputs, group) for group in self.groups(tasks, len(inputs))])

    def logits_with(self, weights: Tensor, inputs: Tensor, buffers: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """Computes all outputs (T, b, n) for inputs (b, *in_shape) of networks with weights (T, N) and buffers each."""
        if self._one_by_one is None:  # `inspect` has not been called
            self._try_at_once(inputs[:2])
        ask = one_by_one if self._one_by_one else at_once
        return ask(self.target, weights, inputs, buffers)

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

    def groups(self, tasks: Sequence[int], batch: int) -> list[Sequence[int]]:
        """Splits tasks into groups that are evaluated together, whose weights and logits fit in `GROUP_NUMBERS`.

        Hidden activations are not counted; with large ones, choose a smaller eval_batch_size.
        """
        size = max(1, GROUP_NUMBERS // (self.target.layout.total + batch * self.heads.num_outputs))
        return [tasks[start : start + size] for start in range(0, len(tasks), size)]

    def _of_group(self, inputs: Tensor, tasks: Sequence[int]) -> Tensor:
        return self._ask(self.weights(tasks), inputs, tasks)

    def _ask(self, weights: Tensor, inputs: Tensor, tasks: Sequence[int]) -> Tensor:
        """Computes what `logits_of` does (T, b, C), from networks with the weights (T, N)."""
        buffers = [self.buffers_of(task) for task in tasks]
        return gather_heads(self.logits_with(weights, inputs, buffers), self.heads, tasks)

    @torch.no_grad()
    def _try_at_once(self, inputs: Tensor) -> str | None:
        """Decides whether several tasks' networks are evaluated at once; returns the reason if vmap fails."""
        # With vmap, convolutions become grouped ones, which take three times as long; batch norm fails in bfloat16.
        if any(isinstance(layer, nn.Conv2d | _BatchNorm) for layer in self.target.module.modules()):
            self._one_by_one = True
            return None
        target = copied(self.target).train(False)
        weights = self.weights(range(min(2, self.heads.num_tasks)))
        given: Any = target, weights, inputs, [self.target.fresh_buffers() for _ in weights]
        with seeded(self._seed, Stream.INSPECTION):
            reason = obstacle(lambda: [at_once(*given)], lambda: [one_by_one(*given)])
        self._one_by_one = reason is not None
        return reason


class GeneratedNetworks(TaskNetworks):
    """Networks whose weights a hypernetwork generates.

    Attributes:
        hypernetwork: generates the weights of each task.
        buffers: the target network's buffers by name for each task begun so far.
    """

    def __init__(self, target: TargetNetwork, hypernetwork: Hypernetwork, context: Context) -> None:
        super().__init__(context)
        self._target = target
        self.hypernetwork = hypernetwork
        self.buffers: dict[int, dict[str, Tensor]] = {}

    @property
    def target(self) -> TargetNetwork:
        return self._target

    def weights(self, tasks: Sequence[int]) -> Tensor:
        return self.weights_at(self.hypernetwork.embeddings(tasks))

    def weights_at(self, embeddings: Tensor) -> Tensor:
        """Returns the weights (B, N) of the networks at embeddings (B, ...) as the hypernetwork's `embeddings` are."""
        return self.hypernetwork.generate(self.hypernetwork.features(embeddings))

    def buffers_of(self, task: int) -> Mapping[str, Tensor]:
        return self.buffers[task]

    def superposed(self, tasks: Sequence[int]) -> tuple[Tensor, Iterator[Tensor]]:
        """Generates weights h(sum_i a_i e_i) from task embeddings e_i, at a_i = 1/T; otherwise as declared above.

        The last layer of h is affine, so derivatives of the weights are what it makes of derivatives of its inputs.
        """
        embeddings = self.hypernetwork.embeddings(tasks).detach()
        with torch.enable_grad():
            mean = embeddings.mean(0, keepdim=True).requires_grad_()
            features = self.hypernetwork.features(mean)
        slopes = derivatives(features, mean, embeddings.split(1))
        theta = {name: value.detach() for name, value in self.hypernetwork.theta.items()}
        generate = self.hypernetwork.generate
        return generate(features.detach(), theta)[0], (generate(slope, theta)[0] for slope in slopes)


class MaskedNetworks(TaskNetworks):
    """Networks that are one fixed network behind the masks of each task, and that share its buffers.

    Args:
        target: the network as a function of weights.
        weights_with: returns its weights by name behind given masks.
        masks: those of all tasks.
        context: the context of the learner.
    """

    def __init__(
        self,
        target: TargetNetwork,
        weights_with: Callable[[Sequence[Tensor]], Mapping[str, Tensor]],
        masks: Supermasks,
        context: Context,
    ) -> None:
        super().__init__(context)
        self._target = target
        self._weights_with = weights_with
        self._masks = masks

    @property
    def target(self) -> TargetNetwork:
        return self._target

    def weights(self, tasks: Sequence[int]) -> Tensor:
        named = (self._weights_with(self._masks.of(task)) for task in tasks)
        return torch.stack([self._target.layout.flatten(weights) for weights in named])

    def buffers_of(self, task: int) -> Mapping[str, Tensor]:
        return self._target.fresh_buffers()


class SeparateNetworks(TaskNetworks):
    """Networks that are modules of their own, with all outputs each.

    Attributes:
        modules: the network of each task.
    """

    def __init__(self, modules: nn.ModuleList, context: Context) -> None:
        super().__init__(context)
        self.modules = modules

    @cached_property
    def target(self) -> TargetNetwork:
        return attempt(called(self.modules[0]), "copying it", TargetNetwork, self.modules[0]).train(False)

    def renew(self) -> None:
        """Lets `target` be made anew when it is needed, as parameters of the modules that are not trained changed."""
        vars(self).pop("target", None)

    def weights(self, tasks: Sequence[int]) -> Tensor:
        return torch.stack([self.target.layout.flatten(trainable(self.modules[task])) for task in tasks])

    def buffers_of(self, task: int) -> Mapping[str, Tensor]:
        return dict(self.modules[task].named_buffers())

    def require_exchangeable(self, inputs: Tensor) -> None:
        """Checks on a few inputs that a network's weights can be passed in to the target network.

        Raises:
            UserError: they cannot, as when a module uses the values of a parameter by another tensor that it keeps.
        """
        last, target = len(self.modules) - 1, copied(self.target).train(False)
        with torch.no_grad(), seeded(self._seed, Stream.INSPECTION):
            expected = copied(self.modules[last]).eval()(inputs)
        with torch.no_grad(), seeded(self._seed, Stream.INSPECTION):
            buffers = {name: buffer.clone() for name, buffer in self.buffers_of(last).items()}
            found = target(self.weights([last])[0], inputs, buffers)
        if not torch.allclose(found, expected, rtol=1e-2, atol=1e-2 * expected.abs().max().item()):
            raise UserError(
                f"{called(self.target.module)}: gives other outputs when its parameters are passed in, so the networks "
                "of several tasks cannot be compared; it must use its parameters themselves, or use scenario=cl1"
            )


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

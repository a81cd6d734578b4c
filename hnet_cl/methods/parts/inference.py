"""Task inference: rules that infer which task an input belongs to when it is not given. A part of methods.

Users can add rules of their own as subclasses of `TaskInference`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Context, SampleClassifierSettings, Samples
from hnet_cl.methods.parts.task_networks import Candidates, TaskNetworks
from hnet_cl.scenario import ScenarioSettings


class Inferred(NamedTuple):
    """For each of b inputs the inferred task, int64 (b,), and the rule's score (b,) of that choice.

    Each rule defines the meaning of its score. A NaN or infinite score marks the prediction as invalid.
    """

    task: Tensor
    score: Tensor


class TaskInference(nn.Module, ABC):
    """A rule that infers the task of inputs, chosen by `method/task_inference`; built only if the task is not given.

    It is part of a `Learner`, whose methods call those of the same names here. As there, all lasting state is in
    parameters, buffers and extra state.

    Args:
        settings: an instance of the class's own `Settings`.
        context: the context of the learner.
        networks: the tasks' networks. They belong to the learner; a rule must neither train nor change them.
    """

    Settings: ClassVar[type[base.Settings]] = base.Settings  # without keys, unless a rule has its own

    def __init__(self, settings: Any, context: Context, networks: TaskNetworks) -> None:
        super().__init__()
        self.settings = settings
        self.context = context
        self.networks = networks

    @classmethod
    def unsupported(cls, scenario: ScenarioSettings) -> str | None:
        """Explains why the rule is not defined in a scenario and what to do instead; returns None if it is."""
        return None

    @abstractmethod
    def infer(self, candidates: Candidates) -> Inferred:
        """Chooses one of `candidates.tasks` for each of `candidates.inputs`.

        Called in evaluation mode and without gradients; a rule that needs gradients can use `torch.enable_grad()`.
        """

    @property
    def images_per_decision(self) -> int:
        """Returns how many consecutive inputs are known to be from one task; `averaged` lets them decide together."""
        number: int = getattr(self.settings, "images_per_decision", 1)
        return number

    def averaged(self, scores: Tensor) -> Tensor:
        """Replaces scores (T, b) of each `images_per_decision` consecutive inputs by their means.

        The last inputs may be fewer. A rule may instead ignore the setting, if it has none of that name.
        """
        if self.images_per_decision == 1:
            return scores
        group = torch.arange(scores.shape[1], device=scores.device) // self.images_per_decision
        sizes = group.bincount()
        sums = scores.new_zeros(len(scores), len(sizes)).index_add(1, group, scores)
        return (sums / sizes)[:, group]

    def inspect(self, inputs: Tensor) -> list[str]:
        """Tries the rule's operations before any task, as in `Learner.inspect`; by default, evaluating all networks.

        A rule that does not evaluate all networks should override this.
        """
        return self.networks.inspect(inputs)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        """Prepares for training on the last of `tasks`, the tasks so far; called before the task's first step."""

    @property
    def capturable(self) -> bool:
        """Tells whether `step` can be part of a CUDA graph, as in `Learner.capturable`.

        By default it can only if the rule does not override `step`, which then does nothing.
        """
        return type(self).step is TaskInference.step

    def prepare(self, size: int) -> None:
        """Prepares data that the next step, on `size` examples, needs beside its batch, as in `Learner.prepare`."""

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Trains on a batch of the new task after the learner's own step; returns detached losses.

        `inputs` are (b, *in_shape), `labels` (b,) within the task.
        """
        return {}

    def end_task(self) -> None:
        """Finishes the present task; called after its last step."""

    def choices(self) -> list[str]:
        """Returns a line for each setting whose value was derived from networks, as in `Learner.choices`."""
        return []

    def samples(self, number: int) -> Samples | None:
        """Draws samples from the rule's generator, as in `Learner.samples`; returns None without a generator."""
        return None

    @property
    def sample_classifier(self) -> SampleClassifierSettings | None:
        """Returns how the classifier that evaluates `samples` is trained; None without a generator."""
        return None

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Returns all optimisers that `step` uses, as in `Learner.optimizers`; by default those of `training_state`."""
        return [part for part in self.training_state().values() if isinstance(part, torch.optim.Optimizer)]

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        """Returns by name the optimisers and random streams that steps change and that are not in `state_dict`."""
        return {}


class Given(TaskInference):
    """The placeholder for a rule in scenarios where the task is given at test time; it cannot infer tasks."""

    @classmethod
    def unsupported(cls, scenario: ScenarioSettings) -> str | None:
        if scenario.task_known:
            return None
        return (
            "the task is not given at test time and the method does not infer it; use scenario=cl1, or a rule that "
            "does, as method/task_inference=entropy (that is method=hnet_ent)"
        )

    def infer(self, candidates: Candidates) -> Inferred:
        raise UserError("method/task_inference=given: the task is not given; choose a rule that infers it")

    def inspect(self, inputs: Tensor) -> list[str]:
        return []


class DecisionSettings(base.Settings):
    """Settings of rules that can decide for several inputs at once.

    `images_per_decision`: numbers of consecutive inputs of a test that are known to be from one task, whose scores are
    averaged. From 2 on that is another, easier protocol (as in Wortsman et al., NeurIPS 2020, who decide once a batch).
    """

    images_per_decision: base.Count


class ScoredInference(TaskInference):
    """A rule that gives each task a score for each input and chooses the task with the least."""

    Settings: ClassVar[type[base.Settings]] = DecisionSettings

    @abstractmethod
    def scores(self, candidates: Candidates) -> Tensor:
        """Computes scores (T, b) of all candidate tasks for b inputs; the less, the better a task fits."""

    def infer(self, candidates: Candidates) -> Inferred:
        return least(self.averaged(self.scores(candidates)))


class Entropy(ScoredInference):
    """Chooses the task whose network predicts with the lowest entropy (von Oswald et al., ICLR 2020, HNET+ENT).

    `temperature` is 1 in the official code. The score is that network's entropy in nats, at least 0; the smaller, the
    more certain.
    """

    class Settings(DecisionSettings):
        temperature: PositiveFloat

    def scores(self, candidates: Candidates) -> Tensor:
        return entropy(candidates.logits, self.settings.temperature)


def entropy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Computes the Shannon entropy in nats of the softmax of logits (..., C) / temperature, of shape (...).

    It is computed from log-probabilities, so that saturated logits give 0 instead of NaN; logits of -inf stand for
    absent classes.
    """
    log_p = (logits / temperature).log_softmax(-1)
    return -(log_p.exp() * log_p.clamp(min=-1e30)).sum(-1)


def least(scores: Tensor) -> Inferred:
    """Finds the task (b,) with the least score (b,), given scores (T, b) of all candidate tasks.

    Among equals the first task is chosen. If any score is NaN, the least is NaN, which marks the prediction as invalid.
    """
    values = scores.amin(0)
    return Inferred((scores == values).int().argmax(0), values)


def require_inferred(rule: TaskInference, found: Any, candidates: Candidates) -> None:
    """Checks the result `found` of a rule's `infer`.

    Raises:
        UserError: it is not `Inferred` with a candidate task and a score for each input.
    """
    number, count = len(candidates.inputs), len(candidates.tasks)
    if isinstance(found, Inferred) and found.task.dtype == torch.int64:
        right = found.task.shape == found.score.shape == (number,) and found.score.is_floating_point()
        if right and (not number or 0 <= found.task.min() <= found.task.max() < count):
            return
    kind = type(rule)
    raise UserError(
        f"method.task_inference._target_={kind.__module__}.{kind.__qualname__}: infer must return Inferred(task, "
        f"score), for {number} inputs tasks int64 ({number},) in 0..{count - 1} and scores float32 ({number},)"
    )

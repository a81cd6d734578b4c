"""Task inference: which task an input belongs to, where nobody says so. A part of methods, open to other rules."""

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

    What a score means is for the rule to say. NaN or infinite: nobody knows, and the answer means nothing.
    """

    task: Tensor
    score: Tensor


class TaskInference(nn.Module, ABC):
    """A rule that infers the task of inputs, chosen by `method/task_inference`; made only where the task is not told.

    All that survives is in parameters, buffers and extra state, as with a `Learner`, whose part it is and whose
    methods of the same names call those here.

    Args:
        settings: of the class's own `Settings`.
        setup: what the learner is given.
        networks: those of the tasks. They belong to the learner and are shared with it: not to be trained or changed.
    """

    Settings: ClassVar[type[base.Settings]] = base.Settings  # without keys, unless a rule has its own

    def __init__(self, settings: Any, context: Context, networks: TaskNetworks) -> None:
        super().__init__()
        self.settings = settings
        self.context = context
        self.networks = networks

    @classmethod
    def unsupported(cls, scenario: ScenarioSettings) -> str | None:
        """Returns why the rule is not defined in a scenario and what to do instead; None if it is."""
        return None

    @abstractmethod
    def infer(self, candidates: Candidates) -> Inferred:
        """Chooses one of `candidates.tasks` for each of `candidates.inputs`.

        Called in evaluation mode and without gradients; `torch.enable_grad()` gives them to a rule that needs them.
        """

    def inspect(self, inputs: Tensor) -> list[str]:
        """Tries, before any task, what the rule will do, as `Learner.inspect`: here all networks at once.

        A rule that does not ask all of them has something else to try, or nothing.
        """
        return self.networks.inspect(inputs)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        """Called before the first step of a task with the tasks so far, of which the last one is new."""

    @property
    def capturable(self) -> bool:
        """Whether `step` can be part of a CUDA graph, as `Learner.capturable`; one that does nothing can."""
        return type(self).step is TaskInference.step

    def prepare(self, size: int) -> None:
        """Called before each step on `size` examples, as `Learner.prepare`."""

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Learns from a batch of the new task, after the learner's own step; returns detached losses."""
        return {}

    def end_task(self) -> None:
        """Called after the last step of a task."""

    def choices(self) -> list[str]:
        """Returns a line for each size that was chosen for the rule and not given, as `Learner.choices`."""
        return []

    def samples(self, number: int) -> Samples | None:
        """Returns samples of the rule's generator, as `Learner.samples`; None without a generator."""
        return None

    @property
    def sample_classifier(self) -> SampleClassifierSettings | None:
        """Training of the classifier that evaluates `samples`; None without a generator."""
        return None

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Returns all optimisers that `step` uses, as `Learner.optimizers`: those of `training_state`."""
        return [part for part in self.training_state().values() if isinstance(part, torch.optim.Optimizer)]

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        """Returns optimisers and random streams that steps move on and that no state holds, by name."""
        return {}


class Given(TaskInference):
    """The task is told; without it there is no answer. It stands for any rule where there is nothing to infer."""

    @classmethod
    def unsupported(cls, scenario: ScenarioSettings) -> str | None:
        if scenario.task_known:
            return None
        return "the task is not told at test time and the method does not infer it; use scenario=cl1 or hnet_ent"

    def infer(self, candidates: Candidates) -> Inferred:
        raise UserError("method/task_inference=given: the task is not told; choose a rule that infers it")

    def inspect(self, inputs: Tensor) -> list[str]:
        return []


class Entropy(TaskInference):
    """The task whose network is surest of its answer (paper, HNET+ENT; `temperature` 1 in the official code).

    The score is that network's entropy in nats: the smaller, the surer, and 0 at least.
    """

    class Settings(base.Settings):
        temperature: PositiveFloat

    def infer(self, candidates: Candidates) -> Inferred:
        return least_entropy(candidates.logits, self.settings.temperature)


def entropy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Computes the Shannon entropy in nats of the softmax of logits (..., C) / temperature, of shape (...).

    From log-probabilities, so that saturated logits give 0 and not NaN; logits of -inf count as absent classes.
    """
    log_p = (logits / temperature).log_softmax(-1)
    return -(log_p.exp() * log_p.clamp(min=-1e30)).sum(-1)


def least_entropy(logits: Tensor, temperature: float) -> Inferred:
    """Finds for logits (T, b, C) of every candidate task's network the surest task (b,) and its entropy (b,).

    The first of equals wins. Where a network answers with NaN nobody knows, and the entropy is NaN.
    """
    values = entropy(logits, temperature)
    least = values.min(0)
    return Inferred((values == least.values).int().argmax(0), least.values)


def require_inferred(rule: TaskInference, found: Any, candidates: Candidates) -> None:
    """Looks at what a rule has inferred.

    Raises:
        UserError: it is not a candidate task and a score for each input.
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

"""What a learner is: it meets tasks one after another and answers for all it has met."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from hnet_cl.benchmarks.base import Task, TrainingData
from hnet_cl.core import seeding
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream
from hnet_cl.methods.parts.layout import layout
from hnet_cl.methods.parts.network import copy_frozen, require_trainable
from hnet_cl.scenario import HeadMap, ScenarioSettings


@dataclass(frozen=True)
class Context:
    """What every learner is given beside its own settings; `in_shape` is that of one input.

    `make_target(num_outputs)` builds the target network, `make_optimizer(parameters)` an optimiser, and
    `make_scheduler(optimizer, steps)` what changes its learning rate over a task of so many steps; None for nothing.
    `graph`: steps that can be captured as a CUDA graph are.
    """

    heads: HeadMap
    make_target: Callable[[int], nn.Module]
    make_optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    seed: int
    device: torch.device
    in_shape: tuple[int, ...]
    make_scheduler: Callable[[torch.optim.Optimizer, int], LRScheduler] | None = None
    graph: bool = False

    def stream(self, *names: str | int) -> torch.Generator:
        """Returns the random stream `names` on the device, for what steps draw."""
        return seeding.stream(self.seed, *names, device=self.device)

    def new_target(self, num_outputs: int, task: int | None = None) -> nn.Module:
        """Builds a target network on the device for all tasks, or with other initial weights for a `task` of its own.

        What is not trained has the same values for every task, those of the network for all tasks.

        Raises:
            UserError: it has no parameters that can be trained.
        """
        own = () if task is None else (task,)
        with seeding.seeded(self.seed, Stream.TARGET_INIT, *own):
            network = self.make_target(num_outputs)
        require_trainable(network, self.device)
        if own and any(not parameter.requires_grad for parameter in network.parameters()):
            with seeding.seeded(self.seed, Stream.TARGET_INIT):
                copy_frozen(self.make_target(num_outputs), network)
        return network.to(self.device)


class Prediction(NamedTuple):
    """Per input: the chosen output (b,) and, where the task is inferred, that task (b,) and the rule's score (b,).

    `logits` (b, n) are those of the outputs that could be chosen, -inf for none; None where a method has no such thing.
    """

    output: Tensor
    task: Tensor | None = None
    task_score: Tensor | None = None
    logits: Tensor | None = None

    @property
    def confidence(self) -> Tensor | None:
        """The softmax probability (b,) of the chosen output among those that could be chosen.

        Computed only here, so that evaluation, which does not ask for it, pays nothing.
        """
        return None if self.logits is None else self.logits.softmax(1).amax(1)

    def only(self, chosen: Tensor) -> "Prediction":
        """The answers that the mask `chosen` (b,) selects."""
        return Prediction(*(None if part is None else part[chosen] for part in self))  # type: ignore[arg-type]

    def invalid(self, heads: HeadMap) -> Tensor:
        """Which answers (b,) mean nothing, as they rest on numbers that are NaN or infinite.

        Where the task was inferred, logits of -inf beyond its classes are no numbers of its network.
        """
        invalid = torch.zeros_like(self.output, dtype=torch.bool)
        if self.task_score is not None:
            invalid |= ~self.task_score.isfinite()
        logits = self.logits
        if logits is not None:
            if self.task is not None:
                classes = torch.tensor(heads.class_counts, device=logits.device)[self.task]
                absent = torch.arange(logits.shape[1], device=logits.device) >= classes.unsqueeze(1)
                logits = logits.masked_fill(absent, 0)
            invalid |= (logits * 0).sum(1).isnan()  # zero times infinity is NaN; faster than a look at each number
        return invalid


class Samples(NamedTuple):
    """What a generator has drawn: inputs (n, *in_shape), and the tasks (n,) they were drawn for where it knows."""

    inputs: Tensor
    tasks: Tensor | None


class SampleClassifierSettings(base.Settings):
    """Training, after each task, of the classifier of real data that evaluates samples: steps, Adam's learning rate."""

    iterations: base.Count
    lr: PositiveFloat


class Learner(nn.Module, ABC):
    """A continual-learning method.

    What a learner has learned lives in its parameters, buffers and extra state, so that `state_dict` holds it all
    after any task. `begin_task` must follow from that state and the seed alone: what it makes (optimisers,
    penalties, random streams) is made again when a run continues. A run that continues in the middle of a task
    first loads the state from before it, then calls `begin_task`, then loads the later state and `training_state`.
    """

    Settings: ClassVar[type[base.Settings]]

    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__()
        self.settings = settings
        self.context = context
        self.heads = context.heads
        self.latest = -1  # the task being learned, or learned last

    @classmethod
    def unsupported(cls, settings: Any, scenario: ScenarioSettings) -> str | None:
        """Why the method is not defined in a scenario and what to do instead; None if it is."""
        return None

    def inspect(self, inputs: Tensor) -> list[str]:
        """Tries on a few inputs (b, *in_shape), before any task, what this method alone does with its networks.

        That they can be trained and tested as they are is known. Nothing that is state changes. Called inside a random
        stream of its own. Returns a line for whatever can only be done in another way than usual.

        Raises:
            UserError: the method cannot do with the networks what it has to.
        """
        return []

    def training_data(self, tasks: Sequence[Task]) -> TrainingData:
        """Returns what the newest of `tasks` so far is learned from; batches of it are what steps are given.

        Data of earlier tasks are for upper bounds alone.
        """
        return tasks[-1].train

    def begin_task(self, tasks: Sequence[Task]) -> None:
        """Called before the first step of a task with the tasks so far, of which the last one is new.

        Nothing of `tasks` is state.
        """
        self.tasks = tasks
        self.latest = tasks[-1].id

    @property
    def capturable(self) -> bool:
        """Whether all steps of a task do the same with tensors of the same shapes on the device alone.

        On a GPU such a step is captured once and replayed: Python is not run again, and what differs from step to step
        must be in tensors that `prepare` writes to in place, or drawn from generators of `training_state`.
        """
        return False

    def prepare(self, size: int) -> None:
        """Called before each step on `size` examples, and never captured: what else a step needs of its own."""

    @abstractmethod
    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Makes one optimiser step on inputs (b, *in_shape) and labels (b,) within the task; returns detached losses.

        If its `training_data` say which tasks (b,) examples are from, these are a third argument.
        """

    def end_task(self) -> None:
        """Called after the last step of a task."""

    def samples(self, number: int) -> Samples | None:
        """Returns `number` samples for each task so far, the same at each call; None without a generator."""
        return None

    @property
    def sample_classifier(self) -> SampleClassifierSettings | None:
        """Training of the classifier of real data that evaluates `samples`; None without a generator."""
        return None

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        """Optimisers and random streams that steps move on and that `state_dict` does not hold, by name."""
        return {}

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Returns all optimisers that steps of this task use; those that are no moving parts a subclass adds."""
        return [part for part in self.training_state().values() if isinstance(part, torch.optim.Optimizer)]

    @abstractmethod
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        """Answers for inputs (b, *in_shape); `task` is told where the scenario tells it."""

    def task_network(self, task: int) -> tuple[nn.Module, slice] | None:
        """Returns a copy of the plain network that answers for `task`, and which of its outputs are the task's own.

        None where no single network answers, or the method does not say which.
        """
        return None

    def trained(self) -> Iterable[nn.Parameter]:
        """The parameters that are trained at a time, and so need a gradient and an optimiser's state."""
        return self.parameters()

    @property
    def asks_task(self) -> bool:
        """Whether `predict` makes anything of the task it is told."""
        return True

    @property
    @abstractmethod
    def target_size(self) -> int:
        """Number of trainable weights of the network that answers."""

    @property
    def generated_size(self) -> int | None:
        """Number of weights that a hypernetwork generates; None where there is none."""
        return None

    def choices(self) -> list[str]:
        """A line for whatever was chosen for the user by what is learned, with the key to choose it himself."""
        return []

    def cross_entropy(self, logits: Tensor, labels: Tensor, outputs: slice) -> Tensor:
        """Mean cross-entropy of within-task labels (b,) under the softmax over `outputs` of logits (b, n)."""
        return F.cross_entropy(logits[:, outputs], self.heads.label(labels, self.latest) - outputs.start)

    @property
    def layout(self) -> list[tuple[str, list[int]]]:
        """Names and shapes, in order, of everything that the learner's state is cut into; kept beside each state."""
        counts = [(f"classes of task {task}", [count]) for task, count in enumerate(self.heads.class_counts, start=1)]
        return [("outputs", [self.heads.num_outputs]), *counts, *layout(self)]

    def get_extra_state(self) -> dict[str, Any]:
        """State that is neither parameter nor buffer."""
        return {"latest": self.latest}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """The inverse of `get_extra_state`."""
        self.latest = state["latest"]

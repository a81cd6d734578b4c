"""The interface of learners, which are trained on a sequence of tasks and predict for all tasks learned so far."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from hnet_cl.benchmarks.base import Task, TrainingData
from hnet_cl.core import seeding
from hnet_cl.core import settings as base
from hnet_cl.core.ranks import Ranks
from hnet_cl.core.seeding import Stream
from hnet_cl.methods.parts.answers import Answers
from hnet_cl.methods.parts.layout import layout
from hnet_cl.methods.parts.memory import state_bytes
from hnet_cl.methods.parts.network import copy_frozen, require_trainable
from hnet_cl.methods.parts.objective import CLASSIFICATION, Objective
from hnet_cl.methods.parts.prediction import Prediction as Prediction  # for those who import it from here
from hnet_cl.scenario import HeadMap, ScenarioSettings


@dataclass(frozen=True)
class Context:
    """The inputs that every learner gets beside its own settings.

    Attributes:
        heads: the outputs of each task.
        make_target: builds a target network with a given number of outputs.
        make_optimizer: builds an optimiser of given parameters.
        seed: seed of all random streams.
        device: device of networks and data.
        in_shape: shape of one input.
        make_scheduler: builds the learning-rate scheduler of an optimiser for a task of a given number of steps; None
            for a constant learning rate.
        graph: whether steps are captured as a CUDA graph where they can be.
        objective: the loss and the score of the tasks.
        ranks: the processes that share the run; None for one process alone.
    """

    heads: HeadMap
    make_target: Callable[[int], nn.Module]
    make_optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    seed: int
    device: torch.device
    in_shape: tuple[int, ...]
    make_scheduler: Callable[[torch.optim.Optimizer, int], LRScheduler] | None = None
    graph: bool = False
    objective: Objective = CLASSIFICATION
    ranks: Ranks | None = None

    def stream(self, *names: str | int) -> torch.Generator:
        """Returns the random stream called `names`, on the device, for random numbers that steps draw."""
        return seeding.stream(self.seed, *names, device=self.device)

    def new_target(self, num_outputs: int, task: int | None = None) -> nn.Module:
        """Builds a target network on the device: one for all tasks, or one for a single `task` if that is given.

        Each task's network has its own initial weights, but parameters that are not trained have the same values in
        all of them: those of the network for all tasks.

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


class Samples(NamedTuple):
    """Samples from a generator: inputs (n, *in_shape), and the tasks (n,) they were drawn for, or None if unknown."""

    inputs: Tensor
    tasks: Tensor | None


class SampleClassifierSettings(base.Settings):
    """Training, after each task, of the classifier of real data that evaluates samples.

    `iterations`: number of steps. `lr`: learning rate of Adam.
    """

    iterations: base.Count
    lr: PositiveFloat


class Learner(nn.Module, ABC):
    """A continual-learning method.

    All that a learner has learned is in its parameters, buffers and extra state, so that `state_dict` is complete
    after every task. `begin_task` must depend only on that state, the tasks and the seed: the objects that it makes
    (optimisers, penalties, random streams) are made again when a run continues. A run that continues in the middle of
    a task first loads the state from before the task, then calls `begin_task`, then loads the later state and
    `training_state`.
    """

    Settings: ClassVar[type[base.Settings]]
    has_target: ClassVar[bool] = True  # whether it trains a target network
    infers_task: ClassVar[bool] = False  # whether it infers the task wherever that is not given
    divisible: ClassVar[bool] = False  # whether several processes can share a batch; see `differentiate`
    unextendable: ClassVar[str | None] = "its class does not say that more tasks can follow"  # why; None if they can
    images_per_decision: int = 1  # consecutive test inputs that are known to be from one task, where it is inferred

    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__()
        self.settings = settings
        self.context = context
        self.heads = context.heads
        self.latest = -1  # the task being learned, or learned last
        self.answers: Answers | None = None  # of the last step's batch, if `task_loss` knows them
        self.task_steps: int | None = None  # steps that the present task takes; set before `begin_task`, if known

    @classmethod
    def unsupported(cls, settings: Any, scenario: ScenarioSettings) -> str | None:
        """Explains why the method is not defined in a scenario and what to do instead; returns None if it is."""
        return None

    @classmethod
    def unsupported_regression(cls, settings: Any) -> str | None:
        """Explains why the method is not defined for regression; returns None if it is."""
        return "it is not defined for regression; use hnet, ewc, si, finetune, joint or scratch"

    @classmethod
    def unsupported_processes(cls, settings: Any) -> str | None:
        """Explains why several processes cannot share a run of the method; returns None if they can."""
        if cls.divisible:
            return None
        return "it is defined for one process; use hnet, scratch, finetune, joint, ewc or si, or leave out torchrun"

    @property
    def objective(self) -> Objective:
        """Returns the loss and the score of the tasks."""
        return self.context.objective

    def inspect(self, inputs: Tensor) -> list[str]:
        """Tries on a few inputs (b, *in_shape), before any task, the operations that only this method needs.

        That the networks can be trained and evaluated as such has been checked before. State must not change. Called
        with a separate random stream. Returns a line for the user about each operation that needs a slower fallback.

        Raises:
            UserError: the method cannot work with the networks.
        """
        return []

    def training_data(self, tasks: Sequence[Task]) -> TrainingData:
        """Returns the data from which the newest of `tasks` so far is learned; each step gets a batch of them.

        Only upper bounds may use data of earlier tasks.
        """
        return tasks[-1].train

    def begin_task(self, tasks: Sequence[Task]) -> None:
        """Prepares for training on the last of `tasks`, those so far, which must not become part of the state."""
        self.tasks = tasks
        self.latest = tasks[-1].id

    @property
    def capturable(self) -> bool:
        """Tells whether all steps of a task run the same operations on tensors of the same shapes, all on the device.

        On a GPU such a step is captured once as a CUDA graph and replayed without running its Python code again.
        Therefore anything that changes from step to step must be in tensors that `prepare` writes to in place, or be
        drawn from generators of `training_state`.
        """
        return False

    def prepare(self, size: int) -> None:
        """Prepares data that the next step, on `size` examples, needs beside its batch; never captured in a graph."""

    @abstractmethod
    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Makes one optimiser step on inputs (b, *in_shape) and within-task labels (b,); returns detached losses.

        If `training_data` record which task each example is from, these tasks (b,) are passed as a third argument.
        """

    def differentiate(self, loss: Tensor) -> None:
        """Adds the gradients of a scalar loss, a mean over a step's batch, to those of the parameters.

        If several processes share the batch, each has a part of it, and gradients of what `optimizers` move become
        those of the mean over the whole batch. The `step` of a `divisible` learner calls this in place of
        `loss.backward()`, after clearing gradients and before it adds any that do not depend on the batch.
        """
        loss.backward()
        if self.context.ranks is not None:
            moved = (weight for one in self.optimizers() for group in one.param_groups for weight in group["params"])
            self.context.ranks.average({id(weight): weight for weight in moved}.values())

    def end_task(self) -> None:
        """Finishes the present task; called after its last step."""

    def keep_for_later(self) -> None:
        """Makes up for what `end_task` leaves out after the last task; called where more tasks follow after all."""

    @property
    def growing(self) -> list[int]:
        """Returns the sizes of parts of the state that depend on the number of tasks, in an order that does not."""
        return [self.heads.num_outputs, self.heads.num_tasks]

    def extra_state_after(self, former: Any) -> dict[str, Any]:
        """Returns the extra state with which to go on where `former` has ended, a learner of the first tasks alone."""
        state: dict[str, Any] = former.get_extra_state()
        return state

    def samples(self, number: int) -> Samples | None:
        """Draws `number` samples for each task so far, the same ones at each call; returns None without a generator."""
        return None

    @property
    def sample_classifier(self) -> SampleClassifierSettings | None:
        """Returns how the classifier of real data that evaluates `samples` is trained; None without a generator."""
        return None

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        """Returns by name the optimisers and random streams that steps change and that are not in `state_dict`."""
        return {}

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Returns all optimisers that steps of this task use.

        By default those of `training_state`; a subclass whose `state_dict` holds an optimiser adds it here.
        """
        return [part for part in self.training_state().values() if isinstance(part, torch.optim.Optimizer)]

    @abstractmethod
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        """Predicts outputs for inputs (b, *in_shape); `task` is given only where the task is known at test time."""

    def task_network(self, task: int) -> tuple[nn.Module, slice] | None:
        """Returns a copy of the plain network that predicts for `task`, and the slice of the task's own outputs.

        None if no single network does, or the method does not define this.
        """
        return None

    def trained(self) -> Iterable[nn.Parameter]:
        """Returns the parameters that are trained at the same time, and so need gradients and optimiser state."""
        return self.parameters()

    @property
    def asks_task(self) -> bool:
        """Tells whether `predict` uses the task that it is given."""
        return True

    @property
    @abstractmethod
    def target_size(self) -> int:
        """Returns the number of trainable weights of the network that predicts."""

    @property
    def generated_size(self) -> int | None:
        """Returns the number of weights that a hypernetwork generates; None without a hypernetwork."""
        return None

    def kept_bytes(self) -> dict[str, int]:
        """Returns by part the bytes kept after `end_task`: the state without optimisers, and examples outside of it."""
        return state_bytes(self)

    def choices(self) -> list[str]:
        """Returns a line for each setting whose value was derived from the networks, such as a chunk size."""
        return []

    def task_loss(self, logits: Tensor, labels: Tensor, outputs: slice) -> Tensor:
        """Computes the mean loss of logits (b, n) for labels of the newest task, on `outputs` that contain its own."""
        start = self.heads.own(self.latest).start - outputs.start
        self.answers = Answers(logits[:, outputs].detach(), labels, start)
        return self.objective.loss(logits[:, outputs], labels, start)

    @property
    def layout(self) -> list[tuple[str, list[int]]]:
        """Lists names and shapes, in order, of all parts of the learner's state; saved with each state.

        The number of outputs and the class counts of the tasks come first.
        """
        counts = [(f"classes of task {task}", [count]) for task, count in enumerate(self.heads.class_counts, start=1)]
        return [("outputs", [self.heads.num_outputs]), *counts, *layout(self)]

    def get_extra_state(self) -> dict[str, Any]:
        """Returns the state that is neither parameter nor buffer."""
        return {"latest": self.latest}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restores the state that `get_extra_state` returned."""
        self.latest = state["latest"]

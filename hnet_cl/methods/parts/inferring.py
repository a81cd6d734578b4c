"""Learners with a network for each task: a rule chooses among them where the task is not given. A part of methods."""

from typing import Any

import torch
from torch import Tensor, nn

from hnet_cl.core import settings as base
from hnet_cl.core.chosen import Chosen
from hnet_cl.hypernet import TargetNetwork
from hnet_cl.methods.base import Context, Learner, Prediction, SampleClassifierSettings, Samples
from hnet_cl.methods.parts.inference import Given, TaskInference, require_inferred
from hnet_cl.methods.parts.task_networks import Candidates, TaskNetworks
from hnet_cl.scenario import ScenarioSettings


class InferringSettings(base.Settings):
    """Settings of such a learner; `task_inference` is the rule, which is not built where the task is given."""

    name: str
    task_inference: Chosen[TaskInference]


class InferringLearner(Learner):
    """A learner that predicts with one of the networks of its tasks: the given task's, or that of the inferred one.

    The constructor of a subclass ends with `choose_rule`. Its `begin_task` and `step` call those of `task_inference`
    after its own work, and its other methods extend those here.

    Attributes:
        task_inference: the rule; `Given` where the task is given.
    """

    infers_task = True
    unextendable = None
    task_inference: TaskInference

    def choose_rule(self, chosen: Chosen[TaskInference], context: Context, networks: TaskNetworks) -> None:
        """Builds the chosen rule, or `Given` if the task is given."""
        given = self.heads.task_known
        self.task_inference = Given(Given.Settings(), context, networks) if given else chosen.make(context, networks)
        self.images_per_decision = self.task_inference.images_per_decision

    @classmethod
    def unsupported(cls, settings: Any, scenario: ScenarioSettings) -> str | None:
        kind: type[TaskInference] = settings.task_inference.kind
        return kind.unsupported(scenario)

    @classmethod
    def unsupported_processes(cls, settings: Any) -> str | None:
        kind: type[TaskInference] = settings.task_inference.kind
        if cls.divisible and kind.step is not TaskInference.step:
            return "its rule of task inference learns from batches, which is defined for one process; use another rule"
        return super().unsupported_processes(settings)

    def choices(self) -> list[str]:
        number = self.images_per_decision
        protocol = f"Protocol: {number} test images at a time are known to be from one task, and decide on it together."
        return [*self.task_inference.choices(), *([protocol] if number > 1 else [])]

    def inspect(self, inputs: Tensor) -> list[str]:
        return self.task_inference.inspect(inputs)

    @property
    def capturable(self) -> bool:
        return self.task_inference.capturable

    def prepare(self, size: int) -> None:
        self.task_inference.prepare(size)

    def step_rule(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Lets the rule learn from the batch of a step; returns its losses by the names under which they are logged."""
        losses = self.task_inference.train().step(inputs, labels)
        return {f"task_inference/{name}": value for name, value in losses.items()}

    def end_task(self) -> None:
        self.eval()
        self.task_inference.end_task()

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return {f"task inference {name}": part for name, part in self.task_inference.training_state().items()}

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return self.task_inference.optimizers()

    def samples(self, number: int) -> Samples | None:
        return self.task_inference.samples(number)

    @property
    def sample_classifier(self) -> SampleClassifierSettings | None:
        return self.task_inference.sample_classifier

    def infer(self, inputs: Tensor) -> Prediction:
        """Predicts for each input with the network of the task that is inferred for it among those learned so far."""
        candidates = Candidates(self.task_inference.networks, inputs, self.latest + 1)
        inferred = self.task_inference.eval().infer(candidates)
        require_inferred(self.task_inference, inferred, candidates)
        return candidates.answer(*inferred)


class TargetLearner(InferringLearner):
    """A learner whose networks are one target network with weights for each task.

    Attributes:
        target: the network as a function of weights.
        networks: the weights of each task.
    """

    target: TargetNetwork
    networks: TaskNetworks

    @property
    def target_size(self) -> int:
        return self.target.layout.total

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        self.target.train(False)
        if task is None:
            return self.infer(inputs)
        own = self.heads.own(task)
        logits = self.networks.logits(inputs, task)[:, own]
        return Prediction(self.objective.predicted(logits, own.start), logits=logits)

    @torch.no_grad()
    def task_network(self, task: int) -> tuple[nn.Module, slice] | None:
        network = self.context.new_target(self.heads.num_outputs)
        weights = self.target.layout.split(self.networks.weights([task])[0])
        state = self.target.named_state(weights, self.networks.buffers_of(task))
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            tensor.copy_(state[name])
        return network, self.heads.own(task)

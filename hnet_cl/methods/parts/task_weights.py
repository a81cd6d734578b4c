"""The base class of methods in which each task sees the weights of one network through a mask of its own."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hnet_cl.benchmarks.base import Task
from hnet_cl.hypernet import copied, trainable
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.affine_layers import affine_layers, require_output_layer, require_plain_layers
from hnet_cl.methods.parts.classifier import Classifier
from hnet_cl.scenario import ScenarioSettings


class TaskWeights(Classifier):
    """A classifier of tasks that are given, whose weights are for each task those that `weights_for` returns."""

    def __init__(self, settings: Classifier.Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.layers = affine_layers(self.network, settings.name)
        self.done = 0  # steps of the present task, with the one that is being made
        self._prepared = False

    @classmethod
    def unsupported(cls, settings: Any, scenario: ScenarioSettings) -> str | None:
        return None if scenario.task_known else "each task has its own part of the network; use scenario=cl1"

    @property
    def own_heads(self) -> bool:
        """Tells whether each task has a head of its own, rows of the last layer."""
        return self.heads.separate

    @property
    def head(self) -> list[int]:
        """Returns the places of the output layer's weight and bias among `weights`."""
        last = self.layers[-1]
        return [place for place in (last.weight, last.bias) if place is not None]

    def inspect(self, inputs: Tensor) -> list[str]:
        require_plain_layers(self.network, self.layers, inputs, self.settings.name)
        if self.own_heads:
            require_output_layer(self.network, self.layers[-1], inputs, self.settings.name)
        return []

    @abstractmethod
    def weights_for(self, task: int) -> Sequence[Tensor]:
        """Returns what the network's weights are for a task, one tensor for each of `weights`."""

    def logits(self, inputs: Tensor, task: int | None) -> Tensor:
        assert task is not None
        weights = dict(zip(trainable(self.network), self.weights_for(task), strict=True))
        found: Tensor = functional_call(self.network, weights, (inputs,))
        return found

    @torch.no_grad()
    def task_network(self, task: int) -> tuple[nn.Module, slice]:
        network = copied(self.network)
        for weight, own in zip(trainable(network).values(), self.weights_for(task), strict=True):
            weight.copy_(own)
        return network, self.heads.own(task)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.done = 0

    def prepare(self, size: int) -> None:
        """Counts the next step; if it is not called, the step counts itself."""
        self.done += 1
        self._prepared = True

    def step(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> dict[str, Tensor]:
        if not self._prepared:
            self.prepare(len(inputs))
        self._prepared = False
        return super().step(inputs, labels, tasks)

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"done": self.done}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.done = state["done"]

"""iCaRL: exemplars that represent their classes, and classification by the nearest mean of exemplars."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor

from hnet_cl.benchmarks.base import Task, TasksTogether
from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Context, Prediction
from hnet_cl.methods.parts.buffer import Budget, example_bytes, shares
from hnet_cl.methods.parts.classifier import Classifier
from hnet_cl.methods.parts.exemplars import features, herd, nearness
from hnet_cl.methods.parts.network import called
from hnet_cl.methods.parts.snapshot import Snapshot
from hnet_cl.scenario import ScenarioSettings
from hnet_cl.targets.output_layer import output_layer

BATCH = 500  # examples at a time when features are computed; does not affect the result


class ICaRL(Classifier):
    """A classifier by the nearest mean of exemplars (Rebuffi et al., CVPR 2017), for class-incremental learning.

    The network learns from the new examples and the exemplars of old classes together. Its loss is the binary
    cross-entropy of every output so far, of the sum or the mean over outputs (`reduction`). The targets of old outputs
    are sigmoid(z / `temperature`) with the logits z of the network before the task, those of new outputs the labels.

    After each task exemplars of its classes are chosen by herding, without augmentation; where the budget is one in
    all, those of old classes that were chosen last make way. An input's class is the one whose exemplars' mean feature
    is nearest; features and means have length 1. The logits of a prediction are minus the distances.
    """

    class Settings(Classifier.Settings):
        exemplars: Budget
        temperature: PositiveFloat
        reduction: Literal["sum", "mean"]

    settings: Settings

    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__(settings, context)
        self._rows: list[Tensor] = []  # of each class so far: rows of its exemplars in its task, as they were chosen
        self._means = torch.zeros(0, 0, device=context.device)  # of each class so far

    @classmethod
    def unsupported(cls, settings: Any, scenario: ScenarioSettings) -> str | None:
        if scenario.task_known or scenario.classes == "shared":
            return "it tells the classes of all tasks apart, without the task; use scenario=cl3"
        return super().unsupported(settings, scenario)

    def inspect(self, inputs: Tensor) -> list[str]:
        if output_layer(self.network, self.heads.num_outputs):
            return []
        return [f"{called(self.network)}: has no nn.Linear as its last layer, so its outputs are taken as features"]

    def training_data(self, tasks: Sequence[Task]) -> TasksTogether:
        old = [
            replace(task, train=task.train.part(self._stored(task.id).to(task.train.labels.device)))
            for task in tasks[:-1]
        ]
        return TasksTogether([*old, tasks[-1]])

    def _stored(self, task: int) -> Tensor:
        """Returns the rows of the exemplars of a task's classes."""
        return torch.cat(self._rows[self.heads.own(task)])

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        given, classes = self.settings.exemplars, self.heads.num_outputs
        budget = given.in_all(tasks[0])
        if budget is not None and budget < classes:
            name = "examples" if given.bytes is None else "bytes"
            shown = f"{given.key(name)}={getattr(given, name)}"
            raise UserError(f"{shown}: too little for an exemplar of each of {classes} classes; give more")
        self._teacher = Snapshot(self.network) if self.latest else None

    def loss(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> Tensor:
        logits = self.network(inputs)[:, self.heads.seen(self.latest)]
        outputs = labels + self._starts[self.latest if tasks is None else tasks]
        targets = torch.zeros_like(logits).scatter_(1, outputs[:, None], 1.0)
        if self._teacher is not None:
            old = self.heads.seen(self.latest - 1)
            targets[:, old] = (self._teacher(inputs)[:, old] / self.settings.temperature).sigmoid()
        each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return each.sum(1).mean() if self.settings.reduction == "sum" else each.mean()

    @torch.no_grad()
    def end_task(self) -> None:
        self.network.eval()
        newest, own = self.tasks[-1], self.heads.own(self.latest)
        labels = newest.train.labels.cpu()
        members = [(labels == label).nonzero()[:, 0] for label in range(newest.num_classes)]
        sizes = self._sizes([len(rows) for rows in (*self._rows[: own.start], *members)])
        kept = [rows[:size] for rows, size in zip(self._rows, sizes, strict=False)][: own.start]
        for rows, size in zip(members, sizes[own.start :], strict=True):
            kept.append(rows[herd(self._features(newest, rows), size).cpu()] if size else rows[:0])
        self._rows = kept
        self._means = torch.stack([self._mean(output) for output in range(own.stop)])

    def _sizes(self, available: Sequence[int]) -> list[int]:
        """Returns how many exemplars of each class so far are stored, given how many there are to choose from."""
        budget, each = self.settings.exemplars.in_all(self.tasks[0]), self.settings.exemplars.examples_per_class
        return shares(available, budget) if budget is not None else [min(each or 0, number) for number in available]

    def _mean(self, output: int) -> Tensor:
        """Computes the mean feature (F,) of a class's exemplars, of length 1; if there are none, without meaning."""
        task, rows = self.tasks[self.heads.tasks_of(output)[0]], self._rows[output]
        return F.normalize(self._features(task, rows if len(rows) else torch.tensor([0])).mean(0), dim=0)

    def _features(self, task: Task, rows: Tensor) -> Tensor:
        parts = rows.to(task.train.labels.device).split(BATCH)
        number = self.heads.num_outputs
        return torch.cat([features(self.network, task.train.batch(part)[0], number) for part in parts])

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        outputs = self.heads.read(task, self.latest)
        self.network.eval()
        found = features(self.network, inputs, self.heads.num_outputs)
        known = torch.tensor([len(rows) > 0 for rows in self._rows[outputs]], device=found.device)
        logits = nearness(found, self._means[outputs], known)
        return Prediction(self.objective.predicted(logits, outputs.start), logits=logits)

    def task_network(self, task: int) -> None:
        return None  # a network's outputs are not the answer

    def kept_bytes(self) -> dict[str, int]:
        found = {part: number for part, number in super().kept_bytes().items() if part != "rows"}
        return found | {"examples": sum(len(self._stored(task.id)) * example_bytes(task) for task in self.tasks)}

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"rows": self._rows, "means": self._means}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self._rows, self._means = list(state["rows"]), state["means"].to(self.context.device)

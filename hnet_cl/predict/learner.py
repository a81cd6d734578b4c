"""The Python interface to a trained learner: classification, task embeddings, and each task's network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hnet_cl.core.errors import UnusableError, UserError, first_line
from hnet_cl.hypernet import Hypernetwork, trainable
from hnet_cl.predict.export import export
from hnet_cl.predict.inputs import Form, as_tensor
from hnet_cl.predict.trained import Trained
from hnet_cl.targets.bfloat16 import in_float32

SHOWN_ROWS = 5  # of inputs that cannot be used


class Answers(NamedTuple):
    """A learner's answers for n inputs, in arrays (n,).

    Attributes:
        label: names of the predicted classes; where tasks share an output, the names of all of them, separated by "/".
        task: the given or inferred task, from 1, or else the one that the label belongs to; 0 if it belongs to several.
        confidence: softmax probability of the label among the possible ones; None if the method gives none.
        task_score: how certain the inferred task is, on the scale of the inference rule; None if it is not inferred.
    """

    label: np.ndarray
    task: np.ndarray
    confidence: np.ndarray | None
    task_score: np.ndarray | None


class TrainedLearner:
    """The learner of a finished run; tasks count from 1.

    Attributes:
        trained: the learner with its plan and the names of its classes.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained = trained

    def __repr__(self) -> str:
        plan = self.trained.plan
        names = "-".join([plan.benchmark.name, plan.scenario.name, plan.method.name])
        return f"TrainedLearner({names}, seed {plan.seed}, {self.num_tasks} tasks)"

    @property
    def num_tasks(self) -> int:
        """Returns the number of tasks learned."""
        return len(self.trained.classes)

    @property
    def classes(self) -> Sequence[Sequence[str]]:
        """Returns the names of the classes of each task."""
        return self.trained.classes

    @torch.no_grad()
    def predict(self, inputs: Any, task: int | None = None) -> Answers:
        """Classifies inputs, as `python -m hnet_cl.predict` does.

        Args:
            inputs: an array or tensor: images uint8 (n, height, width), also with 1 or 3 channels after n or at the
                end, or network inputs as floating-point numbers (n, *in_shape).
            task: the task to answer for, from 1; required in scenarios where the task is known at test time.

        Raises:
            UserError: the inputs have another shape or type, they or the network's outputs are NaN or infinite, there
                is no such task, or the task is missing or would make no difference.
        """
        trained = self.trained
        index = trained.task_index(task)
        form = Form(trained.in_shape, trained.image_kinds(index), trained.image_kinds(0) if index is None else ())
        size = trained.plan.training.eval_batch_size
        try:
            given = inputs if isinstance(inputs, Tensor) else as_tensor(np.asarray(inputs))
        except (TypeError, ValueError) as error:  # texts, objects, rows of different lengths
            raise UserError(f"inputs: {first_line(error)}; expected {form.expected}") from error
        if not given.dim() or not len(given):
            raise UserError(f"inputs: hold nothing (shape {tuple(given.shape)}), expected {form.expected}")
        try:
            parts = [form.from_array(part) for part in given.split(size)]
        except UnusableError as error:
            raise UserError(f"inputs: {error}") from error
        values = torch.cat(parts)
        _require(values.isfinite().flatten(1).all(1), "holds numbers that are NaN or infinite")
        answers = [self._answer(part, index) for part in values.split(size)]
        columns = zip(*answers, strict=True)
        return Answers(*(None if column[0] is None else np.concatenate(column) for column in columns))  # type: ignore[arg-type]

    def _answer(self, values: Tensor, index: int | None) -> Answers:
        learner = self.trained.learner
        prediction = learner.predict(values.to(self.trained.device), index)
        _require(~prediction.invalid(learner.heads), "has no answer: what the network makes of it is NaN or infinite")
        tasks = [index] * len(values) if prediction.task is None else prediction.task.tolist()
        pairs = zip(prediction.output.tolist(), tasks, strict=True)
        labels, owners = zip(*(self.trained.meaning(output, task) for output, task in pairs), strict=True)
        numbers = (
            None if part is None else part.cpu().numpy() for part in (prediction.confidence, prediction.task_score)
        )
        return Answers(np.array(labels), np.array([int(owner or 0) for owner in owners]), *numbers)

    @property
    def task_embeddings(self) -> Tensor:
        """Returns a copy of the hypernetwork's task embeddings (T, E).

        Raises:
            UserError: the method has no hypernetwork that generates the classifying network.
        """
        hypernetwork = self._hypernetwork()
        return torch.stack([*hypernetwork.task_embeddings]).detach().clone()

    def generated(self, task: int) -> dict[str, Tensor]:
        """Returns the weights generated for `task` (from 1), by their names in the target network.

        With `method.base=initial` they are the sums of initial and generated weights.

        Raises:
            UserError: there is no such task, or the method generates no weights (see `network`).
        """
        self._hypernetwork()
        return {name: weight.detach() for name, weight in trainable(self.network(task)).items()}

    def network(self, task: int) -> nn.Module:
        """Returns a copy of the plain network that classifies for `task` (from 1), in float32 and evaluation mode.

        The slice `outputs(task)` selects the task's own outputs; a network that serves all tasks has more.

        Raises:
            UserError: there is no such task, or the method has no single network for it.
        """
        return self._network(task)[0]

    def outputs(self, task: int) -> slice:
        """Returns the slice of the outputs of `network(task)` that belong to the task's classes, in their order.

        Raises:
            UserError: as in `network`.
        """
        return self._network(task)[1]

    def export(self, task: int, file: str | Path) -> Path:
        """Writes the network of `task` (from 1) in the format that the file's suffix says; returns the file's path.

        `.pt` and `.safetensors` hold its plain state dict, with the parameters of all of its outputs. `.onnx` holds the
        whole network for batches of any size, with only the task's own outputs.

        Raises:
            UserError: the suffix is another one, there is no such task, the method has no single network for it, or the
                package for the format is not installed.
            OSError: the file cannot be written.
        """
        path = Path(file).expanduser()
        export(*self._network(task), path, self.trained.in_shape)
        return path

    def _network(self, task: int) -> tuple[nn.Module, slice]:
        if not 1 <= task <= self.num_tasks:
            raise UserError(f"task={task}: this run has learned tasks 1 to {self.num_tasks}")
        found = self.trained.learner.task_network(task - 1)
        if found is None:
            raise UserError(f"method={self.trained.plan.method.name}: has no plain network that answers for one task")
        network, outputs = found
        return in_float32(network).eval(), outputs

    def _hypernetwork(self) -> Hypernetwork:
        hypernetwork = getattr(self.trained.learner, "hypernetwork", None)
        if not isinstance(hypernetwork, Hypernetwork):
            name = self.trained.plan.method.name
            raise UserError(f"method={name}: generates no weights of the network that answers; use network(task)")
        return hypernetwork


def _require(good: Tensor, problem: str) -> None:
    bad = (~good).nonzero()[:, 0].tolist()
    if bad:
        rows = ", ".join(map(str, bad[:SHOWN_ROWS])) + (f" and {len(bad) - SHOWN_ROWS} more" * (len(bad) > SHOWN_ROWS))
        raise UserError(f"inputs[{rows}]: {problem}")

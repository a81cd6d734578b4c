"""Joint training: one network is trained on the data of all tasks so far. The upper bound."""

from collections.abc import Sequence

from hnet_cl.benchmarks.base import Task, TasksTogether
from hnet_cl.methods.parts.buffer import example_bytes
from hnet_cl.methods.parts.classifier import Classifier


class Joint(Classifier):
    """A classifier of the training data of all tasks so far, each example under the outputs of its own task.

    A task takes as many steps as with any other method: an epoch of `training.epochs` covers as many examples as the
    newest task has.
    """

    divisible = True

    @classmethod
    def unsupported_regression(cls, settings: Classifier.Settings) -> None:
        return None

    def kept_bytes(self) -> dict[str, int]:
        examples = sum(len(task.train) * example_bytes(task) for task in self.tasks)
        return super().kept_bytes() | {"examples": examples}

    def training_data(self, tasks: Sequence[Task]) -> TasksTogether:
        return TasksTogether(tasks)

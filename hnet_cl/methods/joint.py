"""Joint training: the network keeps learning from the data of all tasks so far. The upper bound."""

from collections.abc import Sequence

from hnet_cl.benchmarks.base import Task, TasksTogether
from hnet_cl.methods.parts.classifier import Classifier


class Joint(Classifier):
    """Learns from the training data of all tasks so far, each example under the outputs of its own task.

    A task takes as many steps as with any other method, so `training.epochs` are sweeps over as many examples as the
    newest task has.
    """

    def training_data(self, tasks: Sequence[Task]) -> TasksTogether:
        return TasksTogether(tasks)

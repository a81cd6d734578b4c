"""The answers of a network to the batch that it is trained on. A part of methods."""

from typing import NamedTuple

from torch import Tensor


class Answers(NamedTuple):
    """Outputs for a training batch, kept by reference: nothing is computed unless `share_right` is called.

    Attributes:
        outputs: (b, n) logits, detached.
        labels: (b,) within the task.
        start: the first of the outputs that belong to the task.
    """

    outputs: Tensor
    labels: Tensor
    start: int

    def share_right(self) -> float | None:
        """Computes the accuracy, a fraction; waits for the device. None for outputs from inside `torch.func.vmap`."""
        try:
            return (self.outputs.argmax(1) == self.labels + self.start).double().mean().item()
        except RuntimeError:  # such outputs cannot be read outside of it
            return None

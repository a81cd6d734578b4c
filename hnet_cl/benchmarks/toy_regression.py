"""Three functions of one number, learned one after the other: the toy regression of the hypernetwork paper.

von Oswald et al., Continual learning with hypernetworks, ICLR 2020, section 3; functions and sizes are those of the
official code. Its draws are not: the seed is the same, the random stream is ours.
"""

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from hnet_cl.benchmarks.base import Benchmark, Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.scores import MSE
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity

POLYNOMIALS: tuple[tuple[str, Callable[[Tensor], Tensor], float, float], ...] = (  # name, function, range of inputs
    ("x + 3", lambda x: x + 3, -4.0, -2.0),
    ("2 x^2 - 1", lambda x: 2 * x**2 - 1, -1.0, 1.0),
    ("(x - 3)^3", lambda x: (x - 3) ** 3, 2.0, 4.0),
)


class Polynomials(Benchmark):
    """Three regression tasks with inputs (1,) and labels (n, 1): a polynomial each, on a range of its own.

    Training inputs are uniform, their labels have Gaussian noise of standard deviation `noise`. Test inputs are evenly
    spaced, ends included, without noise.
    """

    score = MSE

    class Settings(base.Settings):
        name: str
        train_per_task: base.Size
        test_per_task: Annotated[int, Field(ge=2, le=10**9)]
        noise: NonNegativeFloat
        seed: int

    def __init__(self, settings: Settings, dataset: None, device: torch.device) -> None:
        self.in_shape = (1,)
        self.tasks = []
        drawn: list[Tensor] = []
        for task, (name, function, low, high) in enumerate(POLYNOMIALS):
            rng = stream(settings.seed, Stream.POLYNOMIALS, task)
            x = low + (high - low) * torch.rand(settings.train_per_task, 1, generator=rng)
            y = function(x) + settings.noise * torch.randn(x.shape, generator=rng)
            test = torch.linspace(low, high, settings.test_per_task)[:, None]
            drawn += [x, y, test]
            learned, tested = _split(x, y, device), _split(test, function(test), device)
            self.tasks.append(Task(task, name, learned, tested, 1, class_names=["y"], kind="regression"))
        self.data = DataIdentity("polynomials", "synthetic", fingerprint(*drawn), fixed=True)

    @classmethod
    def memory(cls, settings: Settings, dataset: None) -> int:
        """Returns the bytes that all inputs and labels take."""
        return len(POLYNOMIALS) * (settings.train_per_task + settings.test_per_task) * 8


def _split(inputs: Tensor, labels: Tensor, device: torch.device) -> Split:
    return Split(inputs.to(device), labels.to(device), torch.Tensor.float)

"""SimpleCIL: the class whose mean input is nearest, by the angle."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hnet_cl.benchmarks.base import Split
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.closed_form import ClosedForm

WITHOUT = -2.0  # in place of a cosine, which is at least -1, for classes without examples


class SimpleCIL(ClosedForm):
    """A classifier by the cosine between an input and the mean input of each class (Zhou et al., SimpleCIL, PILOT).

    The means of all classes are those of all examples so far, so the order of tasks and examples does not matter.
    """

    means: Tensor
    counts: Tensor

    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__(settings, context)
        self.register_buffer("means", torch.zeros(self.heads.num_outputs, self.width))
        self.register_buffer("counts", torch.zeros(self.heads.num_outputs, dtype=torch.int64))

    @property
    def target_size(self) -> int:
        return self.means.numel()

    def learn(self, data: Split) -> None:
        sums = self.means.double() * self.counts[:, None]
        for inputs, outputs in self.examples(data):
            sums += outputs.double().T @ inputs.double()
            self.counts += outputs.sum(0)
        self.means.copy_(sums / self.counts.clamp(min=1)[:, None])

    def logits(self, inputs: Tensor) -> Tensor:
        cosines = F.normalize(inputs, dim=1) @ F.normalize(self.means, dim=1).T
        return torch.where(self.counts > 0, cosines, WITHOUT)

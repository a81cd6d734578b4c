"""The order of training examples."""

from collections.abc import Mapping
from math import ceil

import torch
from torch import Tensor

from hnet_cl.core.errors import UserError


class BatchStream:
    """An endless stream of shuffled indices, reshuffled after each sweep over the data.

    A batch may span two sweeps, as in the official code of von Oswald et al., ICLR 2020.

    Args:
        size: number of examples.
        batch_size: indices per batch; more than `size` is allowed.
        generator: the random generator of the shuffling.

    Raises:
        UserError: there are no examples.
    """

    def __init__(self, size: int, batch_size: int, generator: torch.Generator) -> None:
        if size < 1:
            raise UserError(f"{size} examples to learn from; expected at least one")
        self._size = size
        self._batch_size = batch_size
        self._generator = generator
        self._waiting = torch.empty(0, dtype=torch.long)

    def next(self) -> Tensor:
        """Returns the indices (batch_size,) of the next batch, on the CPU."""
        missing = self._batch_size - len(self._waiting)
        sweeps = [torch.randperm(self._size, generator=self._generator) for _ in range(ceil(missing / self._size))]
        self._waiting = torch.cat([self._waiting, *sweeps])
        batch, self._waiting = self._waiting.split([self._batch_size, len(self._waiting) - self._batch_size])
        return batch

    def state(self) -> dict[str, Tensor]:
        """Returns the state of the stream, for `restore`."""
        return {"generator": self._generator.get_state(), "waiting": self._waiting.clone()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restores a `state()` of a stream with the same `size` and `batch_size`."""
        self._generator.set_state(state["generator"])
        self._waiting = state["waiting"]

"""Dark experience replay: stored examples are repeated with the logits that the network had for them."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.buffer import ReplayBuffer
from hnet_cl.methods.parts.buffer_replay import BufferReplay
from hnet_cl.methods.parts.distillation import masks
from hnet_cl.methods.parts.extension import padded

BATCH = 500  # examples at a time when logits are computed; does not affect the result


class DERpp(BufferReplay):
    """DER++ (Buzzega et al., NeurIPS 2020, Eq. 6): the loss L_new + alpha * L_logits + beta * L_labels.

    L_logits is the mean squared distance of logits to the stored ones, and L_labels the mean cross-entropy, on two
    batches that are drawn independently from the buffer. Logits are stored at the end of the example's task, without
    augmentation (the authors' code stores them in the step that inserts the example), and compared at the outputs
    that were trained then.
    """

    class Settings(BufferReplay.Settings):
        alpha: NonNegativeFloat
        beta: NonNegativeFloat

    settings: Settings
    draws = 2

    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__(settings, context)
        self._stored: list[tuple[Tensor, Tensor]] = []  # of each old task: rows (n,) and logits (n, outputs)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        if self.buffer is None:
            return
        self._stored = self._still_stored(self.buffer.rows)
        self._logits = torch.cat([logits for _, logits in self._stored]).to(self.context.device)
        outputs = [self.heads.trained(task, task) for task in range(self.latest)]
        self._compared = masks(outputs, self.heads.num_outputs, self.context.device)

    def _still_stored(self, present: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Returns what is stored of the rows that are `present` in the buffer, task by task.

        Raises:
            UserError: not all of them are, so that a checkpoint was changed.
        """
        if len(present) != len(self._stored) or not all(
            bool(torch.isin(kept, rows).all()) for kept, (rows, _) in zip(present, self._stored, strict=True)
        ):
            raise UserError(
                f"the checkpoint after {self.latest} tasks holds logits of other examples than are replayed: it was "
                "changed; give fresh=true to start from scratch"
            )
        stored = zip(self._stored, present, strict=True)
        return [(kept, logits[torch.searchsorted(rows, kept)]) for (rows, logits), kept in stored]

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if not self.replayed:
            return {}
        first, second = self.replayed
        compared = self._compared[first.tasks]
        squares = (self.network(first.inputs) - self._logits[first.places]).square() * compared
        distance = (squares.sum(1) / compared.sum(1)).mean()
        loss = self.replay_loss(second)
        (self.settings.alpha * distance + self.settings.beta * loss).backward()
        return {"logits": distance.detach(), "replay": loss.detach()}

    def end_task(self) -> None:
        if self.latest < self.heads.num_tasks - 1:  # else no further task replays anything
            self.keep_for_later()

    def keep_for_later(self) -> None:
        rows = ReplayBuffer(self.settings.buffer, self.tasks, self.context.seed).rows[-1]
        self._stored.append((rows, self._logits_of(self.tasks[-1].train, rows)))

    @torch.no_grad()
    def _logits_of(self, data: Split, rows: Tensor) -> Tensor:
        self.network.eval()
        parts = rows.to(self.context.device).split(BATCH)
        return torch.cat([self.network(data.batch(part)[0]) for part in parts]).cpu()

    def kept_bytes(self) -> dict[str, int]:
        found = {part: number for part, number in super().kept_bytes().items() if part != "stored"}
        return found | {"logits": sum(logits.nbytes for _, logits in self._stored[: self.latest])}

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"stored": self._stored}

    def extra_state_after(self, former: Any) -> dict[str, Any]:
        state = super().extra_state_after(former)
        outputs = self.heads.num_outputs  # those that are new were not trained, and are not compared
        return state | {"stored": [(rows, padded(kept, (len(rows), outputs))) for rows, kept in state["stored"]]}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restores the state that `get_extra_state` returned.

        Raises:
            ValueError: what is stored are not the rows and the logits of examples of each task.
        """
        super().set_extra_state(state)
        for rows, logits in state["stored"]:
            good = rows.dtype == torch.int64 and rows.dim() == 1 and bool((rows.diff() > 0).all())
            if not good or logits.shape != (len(rows), self.heads.num_outputs) or not logits.is_floating_point():
                raise ValueError(
                    f"it holds rows of shape {tuple(rows.shape)} and logits of shape {tuple(logits.shape)}, "
                    f"where each task has ascending rows and {self.heads.num_outputs} logits for each"
                )
        self._stored = [(rows, logits) for rows, logits in state["stored"]]

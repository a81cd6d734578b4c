"""Experience replay: stored examples of old tasks are repeated beside the new ones."""

from typing import Literal

from torch import Tensor

from hnet_cl.methods.parts.buffer_replay import BufferReplay


class ER(BufferReplay):
    """A classifier of new and stored examples (Chaudhry et al., "On tiny episodic memories", 2019).

    The loss is w * (mean loss of the new examples) + (1 - w) * (mean loss of the replayed ones). `weighting` sets w:
    `tasks` to 1 / (number of tasks so far) (three-scenarios code, van de Ven & Tolias 2019); `examples` to the new
    examples' share of all examples of the step, so that each counts the same (Mammoth).
    """

    class Settings(BufferReplay.Settings):
        weighting: Literal["tasks", "examples"]

    settings: Settings

    def step(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> dict[str, Tensor]:
        self.new_share = self._new_share(len(inputs))
        return super().step(inputs, labels, tasks)

    def _new_share(self, new: int) -> float:
        if self.buffer is None:
            return 1.0
        if self.settings.weighting == "tasks":
            return 1 / (self.latest + 1)
        return new / (new + min(self.settings.replay_batch_size, len(self.buffer)))

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if not self.replayed:
            return {}
        loss = self.replay_loss(self.replayed[0])
        ((1 - self.new_share) * loss).backward()
        return {"replay": loss.detach()}

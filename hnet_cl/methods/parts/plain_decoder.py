"""A generator that is protected from forgetting by replay of its own samples."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.seeding import Stream
from hnet_cl.methods.base import Context, Samples
from hnet_cl.methods.parts.generator import BLOCK, Generator, GeneratorSettings
from hnet_cl.methods.parts.snapshot import Snapshot


class PlainDecoderSettings(GeneratorSettings):
    """Settings of `PlainDecoder`. `reset_optimizer`: a new optimiser for each task."""

    kind: Literal["plain"]
    reset_optimizer: bool


class PlainDecoder(Generator):
    """One decoder for all tasks, trained on the new task and on samples that it generated before that task.

    Its samples are a mixture of all tasks so far; which task a sample is from is not known.

    Args:
        settings, context, encoder: as for `Generator`.
        decoder: maps z (b, latent) to logits or means of pixels (b, pixels).
    """

    def __init__(
        self, settings: PlainDecoderSettings, context: Context, encoder: nn.Module, decoder: nn.Module
    ) -> None:
        super().__init__(settings, context, encoder)
        self.decoder = decoder.to(context.device)
        self.optimizer = context.make_optimizer(self.parameters())

    def begin_task(self, task: Task) -> None:
        super().begin_task(task)
        self._frozen = Snapshot(self.decoder)
        if self.settings.reset_optimizer:
            self.optimizer = self.context.make_optimizer(self.parameters())

    def step(self, inputs: Tensor, replayed: Samples | None, share: float) -> dict[str, Tensor]:
        self.optimizer.zero_grad()
        self.train()
        seen = inputs if replayed is None else torch.cat([inputs, replayed.inputs])  # one forward pass
        rec, divergence = self.autoencode(seen, self.decoder)
        each, new, old = rec + divergence, slice(len(inputs)), slice(len(inputs), None)
        loss = each[new].mean()
        if replayed is not None:
            loss = share * loss + (1 - share) * each[old].mean()
        loss.backward()
        self.optimizer.step()
        return {"reconstruction": rec.detach()[new].mean(), "kl": divergence.detach()[new].mean()}

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.optimizer]

    @torch.no_grad()
    def _draw(self, size: int, rng: torch.Generator) -> Samples:
        images = self.images(self._frozen(self.normal(BLOCK * size, rng)))
        return Samples(images.view(BLOCK, size, *self.context.in_shape), None)

    @torch.no_grad()
    def samples(self, number: int) -> Samples:
        rng = self.context.stream(Stream.SAMPLES, self.latest)
        return Samples(self.images(self.decoder.eval()(self.normal((self.latest + 1) * number, rng))), None)

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"optimizer": self.optimizer.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.optimizer.load_state_dict(state["optimizer"])

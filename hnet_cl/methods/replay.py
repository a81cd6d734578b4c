"""Generative replay: a plain classifier that is also trained on generated samples of old tasks.

HNET+R (von Oswald et al., ICLR 2020) and deep generative replay (Shin et al., NIPS 2017; with distillation van de Ven
& Tolias 2019) are this class with different generators and settings.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.methods.base import Context, SampleClassifierSettings, Samples
from hnet_cl.methods.parts.classifier import Classifier
from hnet_cl.methods.parts.distillation import NewHeads, distillation, extend, masks, only
from hnet_cl.methods.parts.generated_decoder import GeneratedDecoder, GeneratedDecoderSettings
from hnet_cl.methods.parts.generator import Generator
from hnet_cl.methods.parts.initial import Init, initialised
from hnet_cl.methods.parts.plain_decoder import PlainDecoder, PlainDecoderSettings
from hnet_cl.methods.parts.snapshot import Snapshot
from hnet_cl.targets.mlp import MLP


class ReplaySettings(base.Settings):
    """Settings of generative replay.

    `new_weight`: weight w of the new data's loss, where replay has 1 - w; None for 1 / (number of tasks so far).
    `targets`: `soft` distils from the teacher, the network before the present task, at `temperature`, where `new_heads`
    sets the teacher's output for heads that it was not trained with. `hard` takes the teacher's predicted class, within
    the head of the task that a sample was drawn for if that is known.
    `reset_optimizer`: a new optimiser of the classifier for each task.
    `init`: initialisation of the classifier and of the autoencoder's weights that are not generated.
    """

    init: Init
    reset_optimizer: bool
    new_weight: Annotated[float, Field(gt=0, lt=1)] | None
    targets: Literal["soft", "hard"]
    temperature: PositiveFloat
    new_heads: NewHeads
    generator: Annotated[GeneratedDecoderSettings | PlainDecoderSettings, Field(discriminator="kind")]


class Replay(Classifier):
    """A classifier and a generator that are trained in the same steps.

    Replay comes from the generator as it was before the present task, so it is the same as in the official code, which
    trains the two one after the other.
    """

    class Settings(ReplaySettings, Classifier.Settings):
        """The replay settings and a name."""

    settings: ReplaySettings  # type: ignore[assignment]  # the name is not read

    def __init__(self, settings: Any, context: Context) -> None:
        super().__init__(settings, context)
        self.generator = make_generator(settings.generator, context, settings.init)

    def new_network(self) -> nn.Module:
        make, init = self.context.make_target, self.settings.init
        started = replace(self.context, make_target=lambda num_outputs: initialised(make(num_outputs), init))
        return started.new_target(self.heads.num_outputs)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.generator.begin_task(tasks[-1])
        self._teacher = Snapshot(self.network)
        self.new_share = (self.settings.new_weight or 1 / len(tasks)) if self.latest else 1.0
        self._replayed: Samples | None = None
        self._prepared = False
        heads, before = self.heads, self.latest - 1
        old = range(self.latest)
        outputs = [heads.trained(task, before) for task in old], [heads.own(task) for task in old]
        self._had, self._own = (masks(o, heads.num_outputs, self.context.device) for o in outputs)
        had, own = (max((part.stop - part.start for part in parts), default=0) for parts in outputs)
        self._class_known = own == 1  # heads of one output: a sample's task determines its class
        # A softmax over one output trains nothing, so its logit is meaningless (official code, for task inference).
        self._new_heads: NewHeads = "zero_probability" if had == 1 else self.settings.new_heads
        if self.latest:  # (trained now, trained before) of the old tasks, without duplicates: (2, heads, 1, outputs)
            self._different = torch.stack([self.trained_outputs[:-1], self._had]).unique(dim=1).unsqueeze(2)

    @property
    def capturable(self) -> bool:
        return self.generator.capturable

    @property
    def generated_size(self) -> int | None:
        return self.generator.generated_size

    def choices(self) -> list[str]:
        return self.generator.choices()

    def prepare(self, size: int) -> None:
        """Draws the replay of the next step, on about `size` samples; if it is not called, the step draws it."""
        self._prepared = True
        if not self.latest:
            return
        drawn = self.generator.replay(size)
        if self._replayed is None or self._replayed.inputs.shape != drawn.inputs.shape:
            self._replayed = Samples(drawn.inputs.clone(), drawn.tasks)
        else:
            self._replayed.inputs.copy_(drawn.inputs)  # in place, for a captured step

    def step(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> dict[str, Tensor]:
        if not self._prepared:
            self.prepare(len(inputs))
        self._prepared = False
        return super().step(inputs, labels, tasks) | self.generator.step(inputs, self._replayed, self.new_share)

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if self._replayed is None:
            return {}
        loss = self.replay_loss(*self._replayed)
        ((1 - self.new_share) * loss).backward()
        return {"replay": loss.detach()}

    def replay_loss(self, inputs: Tensor, tasks: Tensor | None) -> Tensor:
        """Computes the mean loss on samples (n, *in_shape) of old `tasks` (n,), each under the outputs of its task.

        If the tasks are None, every sample counts for all old heads, and the loss is the mean over them.
        """
        if tasks is None:
            wanted, had = self._different  # each (heads, 1, outputs)
            own = had
        else:
            wanted, had, own = self.trained_outputs[tasks], self._had[tasks], self._own[tasks]
        student = only(self.network(inputs), wanted)
        if self.settings.targets == "hard":
            known = self._class_known and tasks is not None
            chosen = own.int().argmax(-1) if known else only(self._teacher(inputs), own).argmax(-1)
            return F.cross_entropy(student.flatten(0, -2), chosen.flatten())
        teacher = extend(self._teacher(inputs), had, wanted, self._new_heads)
        return distillation(student, teacher, self.settings.temperature)

    def samples(self, number: int) -> Samples:
        return self.generator.samples(number)

    @property
    def sample_classifier(self) -> SampleClassifierSettings:
        settings: SampleClassifierSettings = self.settings.generator.judge
        return settings

    def optimizers(self) -> list[torch.optim.Optimizer]:
        assert self.optimizer is not None
        return [self.optimizer, *self.generator.optimizers()]

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        own = super().training_state()
        return {**own, **{f"generator {name}": part for name, part in self.generator.training_state().items()}}


def make_generator(
    settings: GeneratedDecoderSettings | PlainDecoderSettings, context: Context, init: Init
) -> Generator:
    """Builds a generator with fully connected encoder and decoder, with `init` where weights are not generated."""
    pixels = prod(context.in_shape)
    with seeded(context.seed, Stream.ENCODER_INIT):
        encoder = initialised(MLP(context.in_shape, 2 * settings.latent, settings.encoder), init)
    with seeded(context.seed, Stream.DECODER_INIT):
        if isinstance(settings, PlainDecoderSettings):
            decoder = initialised(MLP((settings.latent,), pixels, settings.decoder), init)
            return PlainDecoder(settings, context, encoder, decoder)
        inputs = settings.latent + settings.condition
        return GeneratedDecoder(settings, context, encoder, MLP((inputs,), pixels, settings.decoder))

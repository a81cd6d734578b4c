"""Generators: variational autoencoders that replay what earlier tasks looked like. A part of methods.

Kingma & Welling, Auto-encoding variational Bayes, ICLR 2014. Two ways not to forget: a decoder that a hypernetwork
generates for each task and its regulariser protects (von Oswald et al., ICLR 2020), and a plain one that learns from
its own former samples (Shin et al., Continual learning with deep generative replay, NIPS 2017).

What is stored for replay does not grow with the number of tasks, save for the generated decoder's embedding of each:
the generator itself, its copy from before the present task, and the replay of `BLOCK` steps, which are about as many
samples as new examples (as many of each old task, rounded up).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream
from hnet_cl.methods.base import Context, SampleClassifierSettings, Samples

BLOCK = 25  # steps whose replay is drawn at a time, so that an old task's decoder is generated once for all of them
CHECKED = 1000  # training examples whose range is looked at


class GeneratorSettings(base.Settings):
    """`encoder` and `decoder` are sizes of hidden layers; `latent` is the dimension of z.

    `pixel_noise`: standard deviation of Gaussian inputs around the decoder's output; None for Bernoulli inputs, which
    lie in 0..1.
    """

    encoder: list[base.Size]
    decoder: list[base.Size]
    latent: base.Size
    pixel_noise: PositiveFloat | None
    judge: SampleClassifierSettings


class Generator(nn.Module, ABC):
    """An autoencoder that learns tasks one after another and can be asked what the old ones looked like.

    Args:
        encoder: inputs (b, *in_shape) to means and log-variances of z, (b, 2 * latent).
    """

    def __init__(self, settings: GeneratorSettings, context: Context, encoder: nn.Module) -> None:
        super().__init__()
        self.settings: Any = settings
        self.context = context
        self.encoder = encoder.to(context.device)
        self.latest = -1
        self.replayed = 0  # steps of this task that have asked for replay
        self._block: tuple[int, int] | None = None

    def begin_task(self, task: Task) -> None:
        """From now on replay comes from the generator as it is now.

        Raises:
            UserError: the inputs cannot be pixels of the kind that the settings say.
        """
        if self.settings.pixel_noise is None:
            low, high = torch.aminmax(task.train.batch(slice(0, CHECKED))[0])
            if low < 0 or high > 1:
                raise UserError(
                    f"{self.settings.key('pixel_noise')}=null: is for inputs in 0..1, and those of {task.name} reach "
                    f"from {low:.2g} to {high:.2g}; give their noise a standard deviation, such as 0.1"
                )
        self.latest = task.id
        self.replayed = 0
        self._block = None
        self.noise = self.context.stream(Stream.LATENT_NOISE, task.id)

    @property
    def capturable(self) -> bool:
        """As `Learner.capturable`."""
        return True

    @property
    def generated_size(self) -> int | None:
        """As `Learner.generated_size`."""
        return None

    def choices(self) -> list[str]:
        """As `Learner.choices`."""
        return []

    @abstractmethod
    def step(self, inputs: Tensor, replayed: Samples | None, share: float) -> dict[str, Tensor]:
        """One optimiser step on new inputs (b, *in_shape), whose loss weighs `share`, and replayed ones.

        A generator that is protected in another way leaves the replay aside. Returns detached losses.
        """

    def replay(self, size: int) -> Samples:
        """About `size` samples of the tasks before this one, other ones at each call.

        They depend on the number of calls since the task's start alone, not on what else was drawn.
        """
        block, place = divmod(self.replayed, BLOCK)
        if self._block != (block, size):
            self._block = block, size
            self._drawn = self._draw(size, self.context.stream(Stream.REPLAY, self.latest, block))
        self.replayed += 1
        return Samples(self._drawn.inputs[place], self._drawn.tasks)

    @abstractmethod
    def _draw(self, size: int, rng: torch.Generator) -> Samples:
        """Samples of the old tasks: inputs (BLOCK, about `size`, *in_shape), and tasks (about `size`,) if known."""

    @abstractmethod
    def samples(self, number: int) -> Samples:
        """`number` samples for each task so far, from the generator as it is; the same ones at every call."""

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        """Optimisers and random streams that steps move on and that `state_dict` does not hold, by name."""
        return {"latent noise": self.noise}

    @abstractmethod
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """All optimisers that steps of this task use."""

    def autoencode(self, inputs: Tensor, decode: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Per input, reconstruction loss (b,) and divergence of the posterior from the prior (b,), both per pixel."""
        mean, log_variance = self.encoder(inputs).chunk(2, dim=1)
        z = mean + (0.5 * log_variance).exp() * self.normal(len(inputs), self.noise)
        pixels = inputs.flatten(1)
        return reconstruction(decode(z), pixels, self.settings.pixel_noise), kl(mean, log_variance) / pixels.shape[1]

    def normal(self, number: int, rng: torch.Generator) -> Tensor:
        """Draws (number, latent) from N(0, I)."""
        return torch.randn(number, self.settings.latent, generator=rng, device=rng.device)

    def images(self, outputs: Tensor) -> Tensor:
        """Expected inputs (b, *in_shape) from the decoder's outputs (b, pixels)."""
        means = outputs.sigmoid() if self.settings.pixel_noise is None else outputs
        return means.view(-1, *self.context.in_shape)

    def get_extra_state(self) -> dict[str, Any]:
        """State that is neither parameter nor buffer."""
        return {"latest": self.latest, "replayed": self.replayed}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """The inverse of `get_extra_state`."""
        self.latest, self.replayed = state["latest"], state["replayed"]


def reconstruction(outputs: Tensor, pixels: Tensor, noise: float | None) -> Tensor:
    """Mean over pixels (b, P) of -log p(pixel | output), a loss (b,), constants left out.

    Binary cross-entropy of logits, or the squared error over 2 noise^2.
    """
    if noise is None:
        return F.binary_cross_entropy_with_logits(outputs, pixels, reduction="none").mean(1)
    return (outputs - pixels).square().mean(1) / (2 * noise**2)


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) of diagonal Gaussians (b, Z), summed over Z: (b,)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)

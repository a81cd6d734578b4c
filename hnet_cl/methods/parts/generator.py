"""Generators: variational autoencoders that generate samples of old tasks for replay. A part of methods.

Kingma & Welling, Auto-encoding variational Bayes, ICLR 2014. Forgetting is prevented in one of two ways: a hypernetwork
generates a decoder for each task, which its regulariser protects (von Oswald et al., ICLR 2020), or a plain decoder is
also trained on its own earlier samples (Shin et al., Continual learning with deep generative replay, NIPS 2017).

Memory for replay does not grow with the number of tasks, except for a task embedding each with a generated decoder. It
holds the generator, its copy from before the present task, and the replay of `BLOCK` steps, where a step replays about
as many samples as it has new examples (with a generated decoder, equally many of each old task, rounded up).
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

BLOCK = 25  # steps whose replay is drawn together, so that an old task's decoder is generated only once for them
CHECKED = 1000  # number of training examples whose range of values is checked


class AutoencoderSettings(base.Settings):
    """Settings of a variational autoencoder.

    `encoder` and `decoder` are sizes of hidden layers; `latent` is the dimension of z.
    `pixel_noise`: standard deviation of Gaussian inputs around the decoder's output; None for Bernoulli inputs, which
    lie in 0..1.
    """

    encoder: list[base.Size]
    decoder: list[base.Size]
    latent: base.Size
    pixel_noise: PositiveFloat | None

    def require_range(self, task: Task) -> None:
        """Checks that a task's inputs are what `pixel_noise` says.

        Raises:
            UserError: it is None, and some of the inputs are outside 0..1.
        """
        if self.pixel_noise is None:
            low, high = torch.aminmax(task.train.batch(slice(0, CHECKED))[0])
            if low < 0 or high > 1:
                raise UserError(
                    f"{self.key('pixel_noise')}=null: is for inputs in 0..1, and those of {task.name} reach "
                    f"from {low:.2g} to {high:.2g}; give their noise a standard deviation, such as 0.1"
                )


class GeneratorSettings(AutoencoderSettings):
    """Settings of a generator. `judge`: training of the classifier that evaluates samples."""

    judge: SampleClassifierSettings


class Generator(nn.Module, ABC):
    """A variational autoencoder that is trained on one task after another and generates samples of old tasks.

    Args:
        settings: the generator's settings.
        context: the context of the learner.
        encoder: maps inputs (b, *in_shape) to means and log-variances of z, (b, 2 * latent).
    """

    def __init__(self, settings: GeneratorSettings, context: Context, encoder: nn.Module) -> None:
        super().__init__()
        self.settings: Any = settings
        self.context = context
        self.encoder = encoder.to(context.device)
        self.latest = -1
        self.replayed = 0  # calls of `replay` in this task
        self._block: tuple[int, int] | None = None

    def begin_task(self, task: Task) -> None:
        """Prepares for training on a task: replay will come from the generator as it is now.

        Raises:
            UserError: `pixel_noise` is None, and some of the task's inputs are outside 0..1.
        """
        self.settings.require_range(task)
        self.latest = task.id
        self.replayed = 0
        self._block = None
        self.noise = self.context.stream(Stream.LATENT_NOISE, task.id)

    @property
    def capturable(self) -> bool:
        """Tells whether `step` can be part of a CUDA graph, as in `Learner.capturable`."""
        return True

    @property
    def generated_size(self) -> int | None:
        """Returns the number of weights that a hypernetwork generates; None without a hypernetwork."""
        return None

    def choices(self) -> list[str]:
        """Returns a line for each setting whose value was derived from networks, as in `Learner.choices`."""
        return []

    @abstractmethod
    def step(self, inputs: Tensor, replayed: Samples | None, share: float) -> dict[str, Tensor]:
        """Makes one optimiser step and returns detached losses.

        Args:
            inputs: new inputs (b, *in_shape).
            replayed: samples of old tasks, or None in the first task. A generator that is protected in another way
                ignores them.
            share: weight of the new inputs' loss, where that of the replayed samples has 1 - share.
        """

    def replay(self, size: int) -> Samples:
        """Draws about `size` samples of the tasks before the present one, different ones at each call.

        They depend only on the number of calls since the start of the task, not on other random numbers.
        """
        block, place = divmod(self.replayed, BLOCK)
        if self._block != (block, size):
            self._block = block, size
            self._drawn = self._draw(size, self.context.stream(Stream.REPLAY, self.latest, block))
        self.replayed += 1
        return Samples(self._drawn.inputs[place], self._drawn.tasks)

    @abstractmethod
    def _draw(self, size: int, rng: torch.Generator) -> Samples:
        """Draws samples of old tasks: inputs (BLOCK, about `size`, *in_shape), and tasks (about `size`,) if known."""

    @abstractmethod
    def samples(self, number: int) -> Samples:
        """Draws `number` samples for each task so far from the present generator, with the same noise at each call."""

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        """Returns by name the optimisers and random streams that steps change and that are not in `state_dict`."""
        return {"latent noise": self.noise}

    @abstractmethod
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Returns all optimisers that steps of this task use."""

    def autoencode(self, inputs: Tensor, decode: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Computes the two terms of the negative evidence lower bound for inputs (b, *in_shape), divided by pixels.

        Args:
            inputs: the inputs (b, *in_shape).
            decode: maps z (b, latent) to the decoder's outputs (b, pixels).

        Returns:
            The reconstruction loss (b,) and the KL divergence of the posterior from the prior (b,), both per pixel.
        """
        epsilon = self.normal(len(inputs), self.noise)
        return autoencoded(self.encoder, decode, inputs, epsilon, self.settings.pixel_noise)

    def normal(self, number: int, rng: torch.Generator) -> Tensor:
        """Draws (number, latent) from N(0, I)."""
        return torch.randn(number, self.settings.latent, generator=rng, device=rng.device)

    def images(self, outputs: Tensor) -> Tensor:
        """Computes the expected inputs (b, *in_shape) from the decoder's outputs (b, pixels)."""
        means = outputs.sigmoid() if self.settings.pixel_noise is None else outputs
        return means.view(-1, *self.context.in_shape)

    def get_extra_state(self) -> dict[str, Any]:
        """Returns the state that is neither parameter nor buffer."""
        return {"latest": self.latest, "replayed": self.replayed}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restores the state that `get_extra_state` returned."""
        self.latest, self.replayed = state["latest"], state["replayed"]


def autoencoded(
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    inputs: Tensor,
    epsilon: Tensor,
    pixel_noise: float | None,
) -> tuple[Tensor, Tensor]:
    """Computes what `Generator.autoencode` returns, for given noise (b, latent) from N(0, I) of the posterior."""
    mean, log_variance = encode(inputs).chunk(2, dim=1)
    z = mean + (0.5 * log_variance).exp() * epsilon
    pixels = inputs.flatten(1)
    return reconstruction(decode(z), pixels, pixel_noise), kl(mean, log_variance) / pixels.shape[1]


def reconstruction(outputs: Tensor, pixels: Tensor, noise: float | None) -> Tensor:
    """Computes the mean over pixels (b, P) of -log p(pixel | output), a loss (b,), up to constants.

    This is the binary cross-entropy of logits if `noise` is None, else the squared error divided by 2 noise^2.
    """
    if noise is None:
        return F.binary_cross_entropy_with_logits(outputs, pixels, reduction="none").mean(1)
    return (outputs - pixels).square().mean(1) / (2 * noise**2)


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Computes KL(N(mean, variance) || N(0, I)) (b,) of diagonal Gaussians (b, Z), summed over Z."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)

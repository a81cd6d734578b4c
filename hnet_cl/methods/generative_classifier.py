"""The generative classifier: an autoencoder for each class, of which the one that finds an input likeliest answers."""

from collections.abc import Iterable, Sequence
from itertools import chain
from math import log, prod
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.methods.base import Context, Prediction
from hnet_cl.methods.parts.generator import AutoencoderSettings, autoencoded, reconstruction
from hnet_cl.methods.parts.redrawn import Redrawn
from hnet_cl.scenario import ScenarioSettings
from hnet_cl.targets.mlp import MLP

AT_A_TIME = 10_000  # samples that are decoded together; does not affect the result


class Autoencoder(nn.Module):
    """The encoder and the decoder of one class, fully connected."""

    def __init__(self, settings: AutoencoderSettings, context: Context, output: int) -> None:
        super().__init__()
        with seeded(context.seed, Stream.ENCODER_INIT, output):
            self.encoder = MLP(context.in_shape, 2 * settings.latent, settings.encoder)
        with seeded(context.seed, Stream.DECODER_INIT, output):
            self.decoder = MLP((settings.latent,), prod(context.in_shape), settings.decoder)


class GenerativeClassifier(Redrawn):
    """A classifier by likelihood, without stored data (van de Ven, Li & Tolias, CVPR-W 2021).

    Each class has a variational autoencoder of its own, which is trained on the examples of that class alone and never
    changes afterwards. An input's class is the one with the largest estimate of log p(x | class), by `samples`
    importance samples z from the posterior q(z | x): the logarithm of the mean of p(x | z) p(z) / q(z | x). Their noise
    is drawn once, from the seed, so that an answer does not depend on the other inputs.

    The logits are these estimates in nats, up to a constant that is the same for all classes.
    """

    class Settings(AutoencoderSettings):
        name: str
        samples: Annotated[int, Field(gt=0, le=100_000)]  # those of an input are decoded together

    settings: Settings
    seed_key = "importance seed"
    epsilon: Tensor
    has_target = False
    unextendable = None

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        made = (Autoencoder(settings, context, output) for output in range(self.heads.num_outputs))
        self.autoencoders = nn.ModuleList(made).to(context.device)
        self.register_buffer("epsilon", self._drawn(), persistent=False)

    def _drawn(self) -> Tensor:
        return self.normal(Stream.IMPORTANCE, self.settings.samples, self.settings.latent)

    @classmethod
    def unsupported(cls, settings: Any, scenario: ScenarioSettings) -> str | None:
        if scenario.heads == "separate":
            return None
        return "tasks that share a class would train its one autoencoder anew; use scenario=cl3"

    @property
    def asks_task(self) -> bool:
        return self.heads.separate

    @property
    def target_size(self) -> int:
        return sum(weight.numel() for weight in self.autoencoders.parameters())

    def _of(self, outputs: slice) -> list[Autoencoder]:
        """Returns the autoencoders of some classes."""
        return [one for one in self.autoencoders[outputs] if isinstance(one, Autoencoder)]

    def trained(self) -> Iterable[nn.Parameter]:
        return chain.from_iterable(one.parameters() for one in self._of(self.heads.own(max(self.latest, 0))))

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.settings.require_range(tasks[-1])
        self.optimizer = self.context.make_optimizer(self.trained())
        self.noise = self.context.stream(Stream.LATENT_NOISE, self.latest)

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Trains the autoencoders of the classes that are in the batch; otherwise as declared."""
        self.optimizer.zero_grad()
        epsilon = torch.randn(len(inputs), self.settings.latent, generator=self.noise, device=self.noise.device)
        loss, parts = inputs.new_zeros(()), []
        for label, one in enumerate(self._of(self.heads.own(self.latest))):
            own = labels == label
            if own.any():
                given = inputs[own], epsilon[own], self.settings.pixel_noise
                terms = torch.stack(autoencoded(one.encoder, one.decoder, *given)).mean(1)
                loss = loss + terms.sum()
                parts.append(terms.detach())
        loss.backward()
        self.optimizer.step()
        rec, divergence = torch.stack(parts).mean(0)
        return {"reconstruction": rec, "kl": divergence}

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return {"optimizer": self.optimizer, "latent noise": self.noise}

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        outputs = self.heads.read(task, self.latest)
        logits = torch.stack([self.log_likelihood(inputs, one) for one in self._of(outputs)], 1)
        return Prediction(self.objective.predicted(logits, outputs.start), logits=logits)

    def log_likelihood(self, inputs: Tensor, one: Autoencoder) -> Tensor:
        """Estimates log p(x | class) (b,) for inputs (b, *in_shape), up to a constant that all classes share."""
        parts = inputs.split(max(1, AT_A_TIME // self.settings.samples))
        return torch.cat([self._log_likelihood(part, one) for part in parts])

    def _log_likelihood(self, inputs: Tensor, one: Autoencoder) -> Tensor:
        epsilon = self.epsilon
        mean, log_variance = one.encoder(inputs).unsqueeze(1).chunk(2, dim=2)  # (b, 1, latent)
        z = mean + (0.5 * log_variance).exp() * epsilon
        pixels = inputs.flatten(1).unsqueeze(1).expand(-1, len(epsilon), -1)  # (b, samples, pixels)
        lost = reconstruction(one.decoder(z.flatten(0, 1)), pixels.flatten(0, 1), self.settings.pixel_noise)
        of_pixels = -pixels.shape[2] * lost.view(z.shape[:2])
        prior_over_posterior = 0.5 * (epsilon.square() + log_variance - z.square()).sum(2)
        return (of_pixels + prior_over_posterior).logsumexp(1) - log(len(epsilon))

    def redraw(self) -> None:
        self.epsilon.copy_(self._drawn())

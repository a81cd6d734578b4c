"""HNET whose new embeddings are guided by how well the networks of old tasks suit the new task.

H-embedding guided hypernetworks, NeurIPS 2025 (arXiv 2502.11609).
"""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.seeding import Stream, seeded, stream
from hnet_cl.methods.base import Context, Learner
from hnet_cl.methods.hnet import HNet
from hnet_cl.methods.parts.second_optimizer import SecondOptimizer
from hnet_cl.methods.parts.transfer import distances, guide, h_score
from hnet_cl.targets.output_layer import features_in

BATCH = 500  # examples at a time when features are computed; does not affect the result


class HEmbedding(SecondOptimizer, HNet):
    """HNET with a guide for the embedding of each task from the third on.

    Before such a task, the H-score of each old network's features on the new task's training examples says how far the
    new embedding should be from the old one; the guide g is where these distances fit best. The loss of a task with j
    old ones then has the term min(`guidance` * j, 1) * (1 - cos(D(x), g)). x are the inputs of the hypernetwork's last
    layer for all chunks, and D is a network with a hidden layer, new for each task, which is trained with it.
    """

    divisible = False
    second_name = "decoder optimizer"

    class Settings(HNet.Settings):
        """Settings of the method.

        `score_examples`: training examples by which networks are scored. `guide_steps`, `guide_lr`: of the search for
        the guide. `decoder`: hidden units of D.
        """

        guidance: NonNegativeFloat
        score_examples: base.Count
        guide_steps: base.Count
        guide_lr: PositiveFloat
        decoder: base.Size

    settings: Settings

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        with seeded(context.seed, Stream.GUIDE_DECODER):
            self.decoder = self._new_decoder().to(context.device)
        self._guide: Tensor | None = None

    def _new_decoder(self) -> nn.Module:
        size, hidden = len(self.hypernetwork.head) - 1, self.settings.decoder
        first = nn.Linear(self.hypernetwork.num_chunks * size, hidden)
        return nn.Sequential(first, nn.ReLU(), nn.Linear(hidden, self.settings.hypernet.task_embedding))

    @classmethod
    def unsupported_regression(cls, settings: HNet.Settings) -> str | None:
        return Learner.unsupported_regression(settings)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        task, own = self.latest, self.settings
        self._guide = self.second = None
        if task < 2 or not own.guidance:
            return
        scores = self.scores(tasks[-1].train)
        old = self.hypernetwork.embeddings(range(task)).detach()
        rng = stream(self.context.seed, Stream.GUIDE, task)
        start = torch.rand(old.shape[1], generator=rng).to(old)
        self._guide = guide(old, distances(scores).to(old), start, own.guide_steps, own.guide_lr)
        with seeded(self.context.seed, Stream.GUIDE_DECODER, task):
            self.decoder.load_state_dict(self._new_decoder().state_dict())
        self.second = self.context.make_optimizer(self.decoder.parameters())

    @torch.no_grad()
    def scores(self, data: Split) -> Tensor:
        """Computes the H-scores (t,) of the old tasks' networks on examples of the newest task."""
        rng = stream(self.context.seed, Stream.TRANSFER, self.latest)
        index = torch.randperm(len(data), generator=rng)[: self.settings.score_examples].to(self.context.device)
        self.target.train(False)
        features = (self._features(data, index, old) for old in range(self.latest))
        return torch.stack([h_score(found, data.labels[index]) for found in features])

    def _features(self, data: Split, index: Tensor, task: int) -> Tensor:
        """Computes the features (n, F) of examples by the network of an old task."""
        weights, buffers = self.networks.weights([task])[0], self.networks.buffers_of(task)
        module, outputs = self.target.module, self.heads.num_outputs
        ask = partial(self.target, weights, buffers=buffers)
        return torch.cat([features_in(module, outputs, ask, data.batch(part)[0]) for part in index.split(BATCH)])

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        loss = super().loss(inputs, labels)
        if self._guide is None:
            return loss
        hidden = self.hypernetwork.features(self.hypernetwork.embeddings([self.latest]))[..., :-1].flatten()
        similar = F.cosine_similarity(self.decoder(hidden), self._guide, dim=0)
        return loss + min(self.settings.guidance * self.latest, 1.0) * (1 - similar)

    def kept_bytes(self) -> dict[str, int]:
        return {part: size for part, size in super().kept_bytes().items() if part != "decoder"}

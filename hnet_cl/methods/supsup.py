"""SupSup: a fixed random network, of which each task finds the weights that it uses."""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.checks import attempt
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.hypernet import TargetNetwork
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.affine_layers import affine_layers, require_plain_layers
from hnet_cl.methods.parts.inferring import InferringSettings, TargetLearner
from hnet_cl.methods.parts.network import called
from hnet_cl.methods.parts.redrawn import Redrawn
from hnet_cl.methods.parts.supermasks import Supermasks
from hnet_cl.methods.parts.task_networks import MaskedNetworks


class SupSup(Redrawn, TargetLearner):
    """A network with fixed weights and a mask of them for each task (Wortsman et al., NeurIPS 2020).

    The weights of a layer are all +w or -w with w = sqrt(2 / fan-in), signs drawn from the seed, which is all that has
    to be stored of them. There are no biases: those that the target network has are zero. A task trains the scores of
    which its mask is made, from new random ones on, and no other task's mask changes.

    At test time the task is given, or inferred by a rule that chooses among the masked networks.

    `kept`: the share of each layer's weights that a mask lets through, by their scores; None for those whose score is
    not negative.
    """

    class Settings(InferringSettings):
        kept: Annotated[float, Field(gt=0, le=1)] | None

    settings: Settings
    seed_key = "signs seed"

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        network = context.new_target(self.heads.num_outputs)
        self.layers = affine_layers(network, settings.name)
        self.target = attempt(called(network), "copying it", TargetNetwork, network)
        names = [*self.target.layout.shapes]
        self._masked = [names[layer.weight] for layer in self.layers]
        for name, shape in self.target.layout.shapes.items():
            if name not in self._masked:
                self.register_buffer(_fixed(name), torch.zeros(shape), persistent=False)
        for name, weight in zip(self._masked, self._drawn(), strict=True):
            self.register_buffer(_fixed(name), weight, persistent=False)
        shapes = [self.target.layout.shapes[name] for name in self._masked]
        self.masks = Supermasks(shapes, self.heads.num_tasks, settings.kept)
        self.networks = MaskedNetworks(self.target, self.weights_with, self.masks, context)
        self.choose_rule(settings.task_inference, context, self.networks)

    def _drawn(self) -> list[Tensor]:
        """Draws the weights of all layers."""
        draws = stream(self.drawn_from, Stream.SIGNS)
        shapes = [self.target.layout.shapes[name] for name in self._masked]
        signs = [2 * torch.randint(2, shape, generator=draws, device="cpu") - 1 for shape in shapes]
        return [(sign * (2 / sign[0].numel()) ** 0.5).to(self.context.device) for sign in signs]

    def weights_with(self, masks: Sequence[Tensor]) -> dict[str, Tensor]:
        """Returns by name the weights of the network that such masks, one for each layer, let through."""
        weights = {name: self.get_buffer(_fixed(name)) for name in self.target.layout.shapes}
        return weights | {name: weights[name] * mask for name, mask in zip(self._masked, masks, strict=True)}

    def inspect(self, inputs: Tensor) -> list[str]:
        require_plain_layers(self.context.new_target(self.heads.num_outputs), self.layers, inputs, self.settings.name)
        return super().inspect(inputs)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.masks.draw(stream(self.context.seed, Stream.SCORES, self.latest))
        self.optimizer = self.context.make_optimizer(self.masks.scores)
        self.task_inference.begin_task(tasks)

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.optimizer.zero_grad()
        logits = self.target.train()(self.weights_with(self.masks.trained()), inputs)
        loss = self.task_loss(logits, labels, self.heads.own(self.latest))
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()} | self.step_rule(inputs, labels)

    def end_task(self) -> None:
        self.masks.keep(self.latest)
        super().end_task()

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return {"optimizer": self.optimizer} | super().training_state()

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.optimizer, *super().optimizers()]

    def kept_bytes(self) -> dict[str, int]:
        found = super().kept_bytes()
        return found | {"masks": found["masks"] - self.masks.score_bytes}  # a task's scores are not needed any more

    def redraw(self) -> None:
        for name, weight in zip(self._masked, self._drawn(), strict=True):
            self.get_buffer(_fixed(name)).copy_(weight)


def _fixed(name: str) -> str:
    """Returns the name of the buffer that holds a fixed parameter of the target network."""
    return f"fixed/{name.replace('.', '/')}"

"""HyperMask: a hypernetwork generates a mask for each task, through which all tasks share one network's weights.

Ksiazek and Spurek, HyperMask: Adaptive hypernetwork-based masks for continual learning, arXiv 2310.00113.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, NonNegativeFloat, model_validator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import Hypernetwork, Layout, Start, TargetNetwork, trainable
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.generated import Generated
from hnet_cl.methods.parts.second_optimizer import SecondOptimizer
from hnet_cl.methods.parts.task_networks import GeneratedNetworks, TaskNetworks

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)


class HyperMask(SecondOptimizer):
    """Networks with the weights W * m_t, where W is shared and m_t = |tanh h(e_t)|, without its smallest entries.

    In each tensor the share `sparsity` of a mask's entries, the smallest, is set to 0; within the first task this share
    grows linearly from 0. Not masked are the output layer's bias and normalisation layers. The regulariser preserves
    the h(e_t) of old tasks. From the second task on the loss has the term `held` * sum_i |(W_i - W_i*) m_i|, with W*
    the weights at the task's start. What is not masked has m_i = 1 in it.
    """

    class Settings(Generated.Settings):
        """Settings of the method.

        `start`: standard deviation of h(e_t) before training, in each tensor. Smaller masks would learn no second task:
        `held` would keep them small. `held` (lambda in the paper): weight of that term; `held_by_mask`: whether m_i is
        in it. `weights`: whether W is trained, or stays as it starts.
        """

        start: Annotated[float, Field(gt=0, le=1e4)]
        sparsity: Annotated[float, Field(ge=0, lt=1)]
        held: NonNegativeFloat
        held_by_mask: bool
        weights: Literal["trained", "frozen"]

        @model_validator(mode="after")
        def _of_masks(self) -> Self:
            self.hypernet.require_xavier("masks are generated here")
            return self

        def idle(self) -> Mapping[str, str]:
            held = ("held", "held_by_mask") if self.weights == "frozen" else ()
            return dict.fromkeys(held, "with method.weights=frozen")

    second_name = "shared optimizer"
    settings: Settings
    steps_done: Tensor

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))  # of the present task
        self._before: list[Tensor] = []  # W*

    def generated_layout(self, module: nn.Module) -> Layout:
        shapes = Layout.of(module).shapes
        norms = [name for name, layer in module.named_modules() if isinstance(layer, NORMS)]
        exempt = {name for name in shapes if name.rpartition(".")[0] in norms}
        *_, last = shapes
        if len(shapes[last]) == 1:
            exempt.add(last)
        masked = {name: shape for name, shape in shapes.items() if name not in exempt}
        if not masked:
            raise UserError(
                f"{self.target_name}: method={self.settings.name} masks no output bias and no normalisation, and "
                "nothing else is trained; choose other training.parameters, or method=hnet"
            )
        start = Start(0.0, self.settings.start)
        return Layout(masked, starts=dict.fromkeys(masked, start))

    def make_networks(self) -> GeneratedNetworks:
        start = trainable(self.context.new_target(self.heads.num_outputs)).values()
        self.shared = nn.ParameterList(start).requires_grad_(self.settings.weights == "trained")
        return _MaskedNetworks(self.target, self.hypernetwork, self.context, self._masked)

    def _masked(self, generated: Tensor, sparsity: float | None = None) -> Tensor:
        """Returns the weights (N,) behind the mask that is made of what is generated."""
        masks = self._masks(generated, self.settings.sparsity if sparsity is None else sparsity)
        parts = zip(self.shared, masks, strict=True)
        return torch.cat([(weight if mask is None else weight * mask).flatten() for weight, mask in parts])

    def _masks(self, generated: Tensor, sparsity: float) -> Iterator[Tensor | None]:
        """Yields for each tensor of the network its mask; None where it has none."""
        found = self.hypernetwork.layout.split(generated)
        for name in self.target.layout.shapes:
            yield mask_of(found[name], sparsity) if name in found else None

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.steps_done.zero_()
        self._before = [weight.detach().clone() for weight in self.shared]
        learns = self.settings.weights == "trained"
        self.second = self.context.make_optimizer(self.shared) if learns else None

    @property
    def capturable(self) -> bool:
        return False  # masks of the first task are cut by numbers that the processor has to know

    def loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        task, sparsity = self.latest, self.settings.sparsity
        if task == 0 and self.task_steps is not None:
            sparsity *= min(1.0, int(self.steps_done) / max(self.task_steps - 1, 1))
        self.steps_done += 1
        generated = self.hypernetwork(task)
        logits = self.target(self._masked(generated, sparsity), inputs, self.networks.buffers_of(task))
        loss = self.task_loss(logits, labels, self.heads.own(task))
        if task > 0 and self.second is not None and self.settings.held:
            loss = loss + self.settings.held * self._moved(generated, sparsity)
        return loss

    def _moved(self, generated: Tensor, sparsity: float) -> Tensor:
        """Computes the sum of |(W_i - W_i*) m_i|, or that of |W_i - W_i*|."""
        total = generated.new_zeros(())
        masks = self._masks(generated, sparsity)
        for weight, before, mask in zip(self.shared, self._before, masks, strict=True):
            moved = weight - before
            total = total + (moved * mask if mask is not None and self.settings.held_by_mask else moved).abs().sum()
        return total

    def kept_bytes(self) -> dict[str, int]:
        return {part: size for part, size in super().kept_bytes().items() if part != "steps_done"}


class _MaskedNetworks(GeneratedNetworks):
    """Networks whose weights are made of what a hypernetwork generates, by `masked`."""

    def __init__(
        self, target: TargetNetwork, hypernetwork: Hypernetwork, context: Context, masked: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(target, hypernetwork, context)
        self._masked = masked

    def weights_at(self, embeddings: Tensor) -> Tensor:
        return torch.stack([self._masked(generated) for generated in super().weights_at(embeddings)])

    def superposed(self, tasks: Sequence[int]) -> tuple[Tensor, Iterator[Tensor]]:
        return TaskNetworks.superposed(self, tasks)


def mask_of(generated: Tensor, sparsity: float) -> Tensor:
    """Computes |tanh h| (...) of a tensor h, with the share `sparsity` of its entries, the smallest, set to 0."""
    zeros = int(sparsity * generated.numel())
    mask = generated.tanh().abs()
    if not zeros:
        return mask
    sizes = generated.detach().abs()
    return mask * (sizes > sizes.flatten().kthvalue(zeros).values)

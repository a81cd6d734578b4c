"""HNET: a hypernetwork generates each task's weights, and a regulariser preserves those of old tasks.

von Oswald, Henning, Sacramento and Grewe, Continual learning with hypernetworks, ICLR 2020, sections 2 and 4.
"""

import torch
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.hypernet import Base, Interval, TargetNetwork, copied
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.generated import Generated
from hnet_cl.methods.parts.inference import Given
from hnet_cl.targets.bfloat16 import in_float32
from hnet_cl.targets.output_layer import output_layer


class HNet(Generated):
    """A target network whose weights are generated from the embedding of the task.

    At test time the task is given, or inferred by a rule (HNET+ENT, HNET+TIR).
    """

    divisible = True

    class Settings(Generated.Settings):
        """Settings of the method.

        `base`: what is generated is the weights (`zero`), or what is added to the target network's initial weights
        (`initial`), which starts at 0.
        `mask_heads`: for each old task, the regulariser leaves out other tasks' rows of the output layer.
        """

        base: Base
        mask_heads: bool

    settings: Settings

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        outputs = self.heads.num_outputs
        self.output_layer = output_parameters(self.target.module, outputs) if settings.mask_heads else ()
        if settings.base == "initial":
            self.hypernetwork.generate_zeros()

    @property
    def base(self) -> Base:
        return self.settings.base

    @classmethod
    def unsupported_regression(cls, settings: Settings) -> str | None:
        if settings.task_inference.kind is Given:
            return None
        return "no rule that infers the task is defined for regression; use method=hnet with scenario=cl1"

    def inspect(self, inputs: Tensor) -> list[str]:
        lines = super().inspect(inputs)
        if self.settings.mask_heads:
            self._require_masks(copied(self.target).train(False), inputs)
        return lines

    @torch.no_grad()
    def _require_masks(self, target: TargetNetwork, inputs: Tensor) -> None:
        """Checks that a task's own logits do not depend on other tasks' rows of the output layer.

        Raises:
            UserError: they do, so that masking the heads would leave weights unprotected.
        """
        own, other = self.hypernetwork(0), self.hypernetwork(0) - 1
        for start, stop in self._kept(0):
            other[start:stop] = own[start:stop]
        head = self.heads.own(0)
        logits = []
        for weights in (own, other):
            with seeded(self.context.seed, Stream.MASKS):
                logits.append(target(weights, inputs, target.fresh_buffers())[:, head])
        before, after = logits
        if not torch.allclose(before, after, rtol=1e-3, atol=1e-5, equal_nan=True):
            raise UserError(
                f"method.mask_heads=true: in {self.target_name} a head's logits also depend on the other heads' rows "
                "of the last nn.Linear; set method.mask_heads=false"
            )

    def kept(self) -> list[list[Interval]] | None:
        return [self._kept(old) for old in range(self.latest)] if self.settings.mask_heads else None

    def _kept(self, task: int) -> list[Interval]:
        """Returns the intervals of weights that predictions for `task` use: all but other tasks' rows of the head."""
        return self.target.layout.without_other_rows(self.output_layer, self.heads.own(task))


def output_parameters(module: nn.Module, num_outputs: int) -> tuple[str, ...]:
    """Returns the names of the parameters of the last linear layer.

    Raises:
        UserError: there is no linear layer, or the last one does not have one row for each output.
    """
    if found := output_layer(module, num_outputs):
        prefix, layer = found
        return tuple(f"{prefix}.{name}" if prefix else name for name, _ in layer.named_parameters())
    name = type(in_float32(module)).__name__
    raise UserError(
        f"method.mask_heads=true: the last nn.Linear of {name} does not have {num_outputs} outputs, "
        "so the heads' rows cannot be told apart; set method.mask_heads=false"
    )

"""HNET: a hypernetwork generates each task's weights, and a regulariser preserves those of old tasks.

von Oswald, Henning, Sacramento and Grewe, Continual learning with hypernetworks, ICLR 2020, sections 2 and 4.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.checks import attempt, expect
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.hypernet import Base, Interval, TargetNetwork, aliased, copied
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.inference import Given
from hnet_cl.methods.parts.inferring import InferringSettings, TargetLearner
from hnet_cl.methods.parts.network import called
from hnet_cl.methods.parts.protected import ProtectedTraining, ProtectionSettings
from hnet_cl.methods.parts.task_networks import GeneratedNetworks
from hnet_cl.targets.bfloat16 import in_float32
from hnet_cl.targets.output_layer import output_layer


class HNet(TargetLearner):
    """A target network whose weights are generated from the embedding of the task.

    At test time the task is given, or inferred by a rule (HNET+ENT, HNET+TIR).
    """

    networks: GeneratedNetworks
    divisible = True

    class Settings(ProtectionSettings, InferringSettings):
        """Settings of the method.

        `base`: what is generated is the weights (`zero`), or what is added to the target network's initial weights
        (`initial`), which starts at 0.
        `mask_heads`: for each old task, the regulariser leaves out other tasks' rows of the output layer.
        `new_embedding`: a new task's embedding starts with its random initial values, those of the previous task, or
        the mean of all old ones.
        """

        base: Base
        mask_heads: bool
        new_embedding: Literal["random", "previous", "mean"]

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        module = context.new_target(self.heads.num_outputs)
        self.target_name = called(module)
        self.target = attempt(self.target_name, "copying it", TargetNetwork, module, settings.base)
        self._aliased = aliased(module)
        self.output_layer = output_parameters(module, self.heads.num_outputs) if settings.mask_heads else ()
        with seeded(context.seed, Stream.HYPERNETWORK_INIT):
            hypernetwork = settings.make_hypernetwork(self.target.layout, self.heads.num_tasks)
        if settings.base == "initial":
            hypernetwork.generate_zeros()
        self.hypernetwork = hypernetwork.to(context.device)
        self.networks = GeneratedNetworks(self.target, self.hypernetwork, context)
        self.choose_rule(settings.task_inference, context, self.networks)

    @classmethod
    def unsupported_regression(cls, settings: Settings) -> str | None:
        if settings.task_inference.kind is Given:
            return None
        return "no rule that infers the task is defined for regression; use method=hnet with scenario=cl1"

    @property
    def generated_size(self) -> int:
        return self.target.layout.total

    def choices(self) -> list[str]:
        return [*self.settings.choices(self.hypernetwork), *super().choices()]

    def inspect(self, inputs: Tensor) -> list[str]:
        target, buffers = copied(self.target).train(), self.target.fresh_buffers()
        weights = self.hypernetwork(0).detach().requires_grad_()
        logits = attempt(self.target_name, "forward with generated weights", target, weights, inputs, buffers)
        if logits.requires_grad:
            attempt(self.target_name, "the backward pass with generated weights", logits.sum().backward)
        expected = "outputs that depend on its parameters as they are called, so that others can take their place"
        expect(weights.grad is not None, self.target_name, "no gradient reaches generated weights", expected)
        assert weights.grad is not None
        self._require_generated(weights.grad)
        if self.settings.mask_heads:
            self._require_masks(target.train(False), inputs)
        return super().inspect(inputs)

    def _require_generated(self, gradient: Tensor) -> None:
        """Checks that the target network uses the generated weights wherever it uses a parameter.

        A module that accesses a parameter's memory through another tensor would use the original values there.

        Raises:
            UserError: a parameter has such an alias, and no gradient reaches its generated values.
        """
        for name, part in self.target.layout.split(gradient).items():
            if name in self._aliased and not part.any():
                raise UserError(
                    f"{self.target_name}: uses the values of {name} by another tensor that it keeps, which cannot be "
                    "generated; use the parameter itself"
                )

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

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        task = self.latest
        self.networks.buffers[task] = self.target.fresh_buffers()
        if task > 0 and self.settings.new_embedding != "random":
            known = range(task - 1, task) if self.settings.new_embedding == "previous" else range(task)
            with torch.no_grad():
                self.hypernetwork.task_embeddings[task].copy_(self.hypernetwork.embeddings(known).mean(0))
        kept = [self._kept(old) for old in range(task)] if self.settings.mask_heads else None
        rng = self.context.stream(Stream.REGULARIZED_TASKS, task)
        self.protected = ProtectedTraining(
            self.hypernetwork, task, self.settings, self.context.make_optimizer, rng, kept
        )
        self.task_inference.begin_task(tasks)

    @property
    def capturable(self) -> bool:
        return self.protected.capturable and super().capturable

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.protected.zero_grad()
        self.target.train()
        logits = self.networks.logits(inputs, self.latest)
        loss = self.task_loss(logits, labels, self.heads.own(self.latest))
        self.differentiate(loss)
        return {"loss": loss.detach()} | self.protected.step() | self.step_rule(inputs, labels)

    def training_state(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        return self.protected.training_state() | super().training_state()

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [*self.protected.optimizers, *super().optimizers()]

    def _kept(self, task: int) -> list[Interval]:
        """Returns the intervals of weights that predictions for `task` use: all but other tasks' rows of the head."""
        return self.target.layout.without_other_rows(self.output_layer, self.heads.own(task))

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"task_buffers": self.networks.buffers}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.networks.buffers = {
            task: {name: buffer.to(self.context.device, copy=True) for name, buffer in buffers.items()}
            for task, buffers in state["task_buffers"].items()
        }


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

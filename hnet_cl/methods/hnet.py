"""HNET: a hypernetwork generates each task's weights and a regulariser keeps the old ones where they are.

von Oswald, Henning, Sacramento and Grewe, Continual learning with hypernetworks, ICLR 2020, sections 2 and 4.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import seeded
from hnet_cl.hypernet import Interval, TargetNetwork, aliased, copied
from hnet_cl.methods.base import FIRST, Learner, Prediction, SampleReport, Setup
from hnet_cl.methods.parts.inference import ByClassifier, ByEntropy, Given, least_entropy, task_classifier
from hnet_cl.methods.parts.network import called, explained, rehearse, require_same
from hnet_cl.methods.parts.protected import ProtectedTraining, ProtectionSettings
from hnet_cl.methods.parts.vectorized import at_once, obstacle, one_by_one
from hnet_cl.scenario import ScenarioSettings, gather_heads
from hnet_cl.targets.bfloat16 import in_float32

GROUP_NUMBERS = 50_000_000  # float32 numbers, 200 MB; for how many tasks are evaluated at a time


class HNet(Learner):
    """The task selects the embedding; it is told at test time, or inferred (HNET+ENT, HNET+TIR)."""

    class Settings(ProtectionSettings):
        """`mask_heads`: the regulariser leaves out other tasks' rows of the output layer."""

        name: str
        mask_heads: bool
        new_embedding: Literal["random", "previous"]
        task_inference: Annotated[Given | ByEntropy | ByClassifier, Field(discriminator="kind")]

    def __init__(self, settings: Settings, setup: Setup) -> None:
        super().__init__(settings, setup)
        module = setup.new_target(self.heads.num_outputs, *FIRST)
        self.target_name = called(module)
        with explained(self.target_name, "copied"):
            self.target = TargetNetwork(module)
            self._aliased = aliased(module)
        # vmap: convolutions with groups take three times as long, no batch norm in bfloat16
        slow = any(isinstance(layer, nn.Conv2d | _BatchNorm) for layer in module.modules())
        self.one_by_one = True if slow else None  # None until it is tried
        self.output_layer = output_layer(module, self.heads.num_outputs) if settings.mask_heads else ()
        self.task_buffers: dict[int, dict[str, Tensor]] = {}
        with seeded(setup.seed, "init", "hypernetwork"):
            hypernetwork = settings.make_hypernetwork(self.target.layout, self.heads.num_tasks)
        self.hypernetwork = hypernetwork.to(setup.device)
        inference = settings.task_inference
        self.task_classifier = None
        if isinstance(inference, ByClassifier) and not self.heads.task_known:
            self.task_classifier = task_classifier(inference, setup)

    @classmethod
    def undefined(cls, settings: Settings, scenario: ScenarioSettings) -> str | None:
        if settings.task_inference.kind == "given" and not scenario.task_known:
            return "the task is not told at test time and the method does not infer it; use scenario=cl1 or hnet_ent"
        return None

    @property
    def target_size(self) -> int:
        return self.target.layout.total

    def inspect(self, inputs: Tensor) -> list[str]:
        target, buffers = copied(self.target), self.target.fresh_buffers()
        weights = self.hypernetwork(0).detach().requires_grad_()
        forward = partial(target, weights, buffers=buffers)
        rehearse(self.target_name, target, forward, [weights], inputs, self.heads.num_outputs)
        require_same(self.target_name, self.target.parameter_names, target.parameter_names)
        assert weights.grad is not None
        self._require_generated(weights.grad)
        if self.settings.mask_heads:
            self._require_masks(target, inputs)
        notes = self.task_classifier.inspect(inputs) if self.task_classifier else []
        if self._infers_by_entropy and self.one_by_one is None and (reason := self._try_at_once(inputs)):
            notes.append(
                f"{self.target_name}: the tasks' networks are asked one after another, as torch.func.vmap cannot ask "
                f"them at once ({reason}); the inference of tasks takes longer"
            )
        return notes

    def _require_generated(self, gradient: Tensor) -> None:
        """What a module reaches by another way than its name is not what was generated, and gets no gradient."""
        for name, part in self.target.layout.split(gradient).items():
            if name in self._aliased and not part.any():
                raise UserError(
                    f"{self.target_name}: uses the values of {name} by another tensor that it keeps, which cannot be "
                    "generated; use the parameter itself"
                )

    @torch.no_grad()
    def _require_masks(self, target: TargetNetwork, inputs: Tensor) -> None:
        """Other tasks' rows of the output layer must not change a task's own logits."""
        own, other = self.hypernetwork(0), self.hypernetwork(0).neg()
        for start, stop in self._kept(0):
            other[start:stop] = own[start:stop]
        head = self.heads.own(0)
        logits = []
        for weights in (own, other):
            with seeded(self.setup.seed, "masks"):
                logits.append(target(weights, inputs, target.fresh_buffers())[:, head])
        before, after = logits
        if not torch.allclose(before, after, rtol=1e-3, atol=1e-5, equal_nan=True):
            raise UserError(
                f"method.mask_heads=true: in {self.target_name} a head's logits also depend on the other heads' rows "
                "of the last nn.Linear; set method.mask_heads=false"
            )

    @property
    def _infers_by_entropy(self) -> bool:
        return isinstance(self.settings.task_inference, ByEntropy) and not self.heads.task_known

    @torch.no_grad()
    def _try_at_once(self, inputs: Tensor) -> str | None:
        """Decides whether several tasks' networks are asked at once; returns why not."""
        target = copied(self.target).train(False)
        weights = self.hypernetwork.generate(self._features(range(min(2, self.heads.num_tasks))))
        buffers = [self.target.fresh_buffers() for _ in weights]
        given = target, weights, inputs, buffers
        with seeded(self.setup.seed, "inspection"):
            reason = obstacle(lambda: [at_once(*given)], lambda: [one_by_one(*given)])
        self.one_by_one = reason is not None
        return reason

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        task = self.latest
        self.task_buffers[task] = self.target.fresh_buffers()
        if task > 0 and self.settings.new_embedding == "previous":
            with torch.no_grad():
                self.hypernetwork.task_embeddings[task].copy_(self.hypernetwork.task_embeddings[task - 1])
        kept = [self._kept(old) for old in range(task)] if self.settings.mask_heads else None
        sampling = self.setup.stream("regularized tasks", task)
        self.protected = ProtectedTraining(
            self.hypernetwork, task, self.settings, self.setup.make_optimizer, sampling, kept
        )
        if self.task_classifier:
            self.task_classifier.begin_task(tasks)

    @property
    def capturable(self) -> bool:
        return self.settings.capturable and (self.task_classifier is None or self.task_classifier.capturable)

    def prepare(self, size: int) -> None:
        if self.task_classifier:
            self.task_classifier.prepare(size)

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.protected.zero_grad()
        logits = self._logits(self.target.train(), inputs, self.latest)
        loss = self.cross_entropy(logits, labels, self.heads.own(self.latest))
        loss.backward()
        losses = {"loss": loss.detach()} | self.protected.step()
        if self.task_classifier:
            of_tasks = self.task_classifier.step(inputs, torch.zeros_like(labels))  # the only class of its task
            losses |= {f"task_inference/{name}": value for name, value in of_tasks.items()}
        return losses

    def moving_parts(self) -> dict[str, torch.optim.Optimizer | torch.Generator]:
        parts = self.protected.moving_parts()
        if self.task_classifier:
            of_tasks = self.task_classifier.moving_parts()
            parts |= {f"task inference {name}": part for name, part in of_tasks.items()}
        return parts

    def optimizers(self) -> list[torch.optim.Optimizer]:
        of_tasks = self.task_classifier.optimizers() if self.task_classifier else []
        return [*self.protected.optimizers, *of_tasks]

    def report(self) -> SampleReport | None:
        return self.task_classifier.report() if self.task_classifier else None

    def _kept(self, task: int) -> list[Interval]:
        """Weights that the predictions of `task` depend on: all but the other tasks' rows of the output layer."""
        return self.target.layout.without_other_rows(self.output_layer, self.heads.own(task))

    def _logits(self, target: TargetNetwork, inputs: Tensor, task: int) -> Tensor:
        return target(self.hypernetwork(task), inputs, self.task_buffers[task])

    @torch.no_grad()
    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        self.target.train(False)
        if task is None:
            return self._infer(inputs)
        logits = self._logits(self.target, inputs, task)[:, self.heads.own(task)]
        return Prediction(self.heads.label(logits.argmax(1), task), logits=logits)

    def _infer(self, inputs: Tensor) -> Prediction:
        """Answers with the network of the task that fits each input best, of all tasks learned so far."""
        if self.task_classifier:
            told = self.task_classifier.predict(inputs)
            answer = self._ask(told.output, inputs)
            assert answer.logits is not None
            answer.logits[told.undefined(self.task_classifier.heads)] = (
                torch.nan
            )  # an answer to a task that nobody knows
            return answer
        inference = self.settings.task_inference
        assert isinstance(inference, ByEntropy)
        candidates = range(self.latest + 1)
        logits = torch.cat([self._own_logits(inputs, part) for part in self._groups(candidates, len(inputs))])
        tasks, surest = least_entropy(logits, inference.temperature)
        chosen = logits[tasks, torch.arange(len(inputs), device=tasks.device)]
        starts = torch.tensor([self.heads.own(task).start for task in candidates], device=tasks.device)
        return Prediction(chosen.argmax(1) + starts[tasks], tasks, surest, chosen)

    def _ask(self, tasks: Tensor, inputs: Tensor) -> Prediction:
        """Answers to each input with the network of its task (b,)."""
        output = torch.empty_like(tasks)
        chosen = inputs.new_full((len(inputs), self.heads.widest), -torch.inf)
        for task in tasks.unique().tolist():
            here, own = tasks == task, self.heads.own(task)
            logits = self._logits(self.target, inputs[here], task)[:, own]
            output[here] = self.heads.label(logits.argmax(1), task)
            chosen[here, : own.stop - own.start] = logits
        return Prediction(output, tasks, logits=chosen)

    def _groups(self, tasks: Sequence[int], batch: int) -> list[Sequence[int]]:
        """Tasks that are evaluated together: as many as `GROUP_NUMBERS` weights and logits allow.

        Hidden activations are not counted: with convolutions, eval_batch_size has to be chosen with them in mind.
        """
        size = max(1, GROUP_NUMBERS // (self.target_size + batch * self.heads.num_outputs))
        return [tasks[start : start + size] for start in range(0, len(tasks), size)]

    def _own_logits(self, inputs: Tensor, tasks: Sequence[int]) -> Tensor:
        """Logits (T, b, C) of each task's own head, from its own network."""
        weights = self.hypernetwork.generate(self._features(tasks))
        buffers = [self.task_buffers[task] for task in tasks]
        if self.one_by_one is None:  # nobody has inspected the network
            self._try_at_once(inputs[:2])
        ask = one_by_one if self.one_by_one else at_once
        return gather_heads(ask(self.target, weights, inputs, buffers), self.heads, tasks)

    def _features(self, tasks: Sequence[int]) -> Tensor:
        return self.hypernetwork.features(self.hypernetwork.embeddings(tasks))

    def get_extra_state(self) -> dict[str, Any]:
        return super().get_extra_state() | {"task_buffers": self.task_buffers}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        super().set_extra_state(state)
        self.task_buffers = {
            task: {name: buffer.to(self.setup.device, copy=True) for name, buffer in buffers.items()}
            for task, buffers in state["task_buffers"].items()
        }


def output_layer(module: nn.Module, num_outputs: int) -> tuple[str, ...]:
    """Names of the parameters of the last linear layer.

    Raises:
        UserError: there is no linear layer with one row for each output, so its rows cannot be told apart.
    """
    for prefix, layer in reversed(list(module.named_modules())):
        if isinstance(layer, nn.Linear):
            if layer.out_features == num_outputs:
                return tuple(f"{prefix}.{name}" if prefix else name for name, _ in layer.named_parameters())
            break
    name = type(in_float32(module)).__name__
    raise UserError(
        f"method.mask_heads=true: the last nn.Linear of {name} does not have {num_outputs} outputs, "
        "so the heads' rows cannot be told apart; set method.mask_heads=false"
    )

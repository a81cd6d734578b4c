"""The hooks of a classifier: other methods of the field are written in a few lines, and do what their formulas say."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from builders import TwoWeights, blobs, head_map, learned, setup, sgd, slope, two_weights
from torch import Tensor
from torch.nn.functional import cross_entropy

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.methods.parts.classifier import Classifier
from hnet_cl.methods.parts.distillation import distillation
from hnet_cl.methods.parts.penalty import QuadraticPenalty
from hnet_cl.methods.parts.snapshot import Snapshot

TASKS = TwoWeights().tasks
BATCH = TASKS[1].train.batch(slice(None))


class LwF(Classifier):
    """Learning without forgetting (Li & Hoiem, ECCV 2016): distils the old network on new inputs."""

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.old = Snapshot(self.network)

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        loss = distillation(self.network(inputs), self.old(inputs), temperature=2.0)
        loss.backward()
        return {"distillation": loss.detach()}


class ER(Classifier):
    """Experience replay: repeats stored examples, each under the outputs of its own task."""

    def end_task(self) -> None:
        data = self.training_data(self.tasks)
        inputs, labels = data.batch(torch.arange(2))
        self.kept = inputs, labels, torch.full_like(labels, self.latest)

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if self.latest == 0:
            return {}
        loss = self.loss(*self.kept)
        loss.backward()
        return {"replay": loss.detach()}


class AGEM(ER):
    """Averaged gradient episodic memory (Chaudhry et al., ICLR 2019): no step against the stored examples."""

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if self.latest:
            reference = torch.autograd.grad(self.loss(*self.kept), self.weights)
            product, length = (
                sum((a * b).sum() for a, b in zip(other, reference, strict=True)) for other in (gradients, reference)
            )
            if product < 0:
                torch._foreach_sub_(gradients, torch._foreach_mul(reference, product / length))
        return {}


class MAS(Classifier):
    """Memory aware synapses (Aljundi et al., ECCV 2018): importance is the slope of the outputs' squared length."""

    def __init__(self, settings: Any, setup: Any) -> None:
        super().__init__(settings, setup)
        self.penalty = QuadraticPenalty(self.weights)

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        return {"penalty": self.penalty.add_gradient(self.weights, gradients, 3.0)}

    def end_task(self) -> None:
        inputs, _ = self.training_data(self.tasks).batch(torch.arange(2))
        for one in inputs.split(1):
            slopes = torch.autograd.grad(self.network(one).square().sum(), self.weights)
            torch._foreach_add_(self.penalty.importance, [s.abs() / len(inputs) for s in slopes])
        self.penalty.anchor_at(self.weights)


def after_one_task(kind: type[Classifier]) -> Any:
    made = kind(
        Classifier.Settings(name="mine", reset_optimizer=True),
        setup(head_map("cl2", (2, 2, 2)), target=two_weights, optimizer=sgd),
    )
    learned(made, TwoWeights(), 1)
    made.begin_task(TASKS[:2])
    return made


def gradient_of(made: Any, data: Split = TASKS[1].train) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
    """Weights before a step on the second task, the gradient it used, that of the task alone, and its losses."""
    w = made.network.weight.detach().clone()
    losses = made.step(*data.batch(slice(None)))
    return w, made.network.weight.grad, slope(w, data), losses


def test_learning_without_forgetting() -> None:
    made = after_one_task(LwF)
    made.step(*BATCH)  # away from the old network, where the distillation's gradient is zero
    old = made.old(BATCH[0])
    w, gradient, own, _ = gradient_of(made)
    difference = ((BATCH[0] @ w.T) / 2).softmax(1) - (old / 2).softmax(1)
    torch.testing.assert_close(gradient, own + 2 * difference.T @ BATCH[0] / 2)


def test_experience_replay() -> None:
    w, gradient, own, losses = gradient_of(after_one_task(ER))
    torch.testing.assert_close(gradient, own + slope(w, TASKS[0].train))
    old = TASKS[0].train
    torch.testing.assert_close(losses["replay"], cross_entropy(old.images @ w.T, old.labels))


def test_gradients_are_changed_in_place() -> None:
    old = TASKS[0].train
    w, gradient, own, _ = gradient_of(after_one_task(AGEM), replace(old, labels=1 - old.labels))
    reference = slope(w, old)
    assert (own * reference).sum() < 0, "the two tasks disagree"
    torch.testing.assert_close(gradient, own - (own * reference).sum() / reference.square().sum() * reference)


def test_memory_aware_synapses() -> None:
    made = after_one_task(MAS)
    anchor, old = made.network.weight.detach().clone(), TASKS[0].train.images
    importance = (2 * (old @ anchor.T)[:, :, None] * old[:, None]).abs().mean(0)
    made.step(*BATCH)
    w, gradient, own, losses = gradient_of(made)
    torch.testing.assert_close(gradient, own + 2 * 3.0 * importance * (w - anchor))
    torch.testing.assert_close(losses["penalty"], 3.0 * (importance * (w - anchor).square()).sum())


def test_stored_examples_of_several_tasks_are_each_under_their_own_head() -> None:
    benchmark = blobs(num_tasks=2)
    made = Classifier(Classifier.Settings(name="mine", reset_optimizer=True), setup(head_map("cl1", (2, 2))))
    made.begin_task(benchmark.tasks)
    inputs, labels = benchmark.tasks[0].train.batch(slice(0, 6))
    logits = made.network(inputs)
    tasks = torch.tensor([0, 1] * 3)
    loss = made.loss(inputs, labels, tasks)
    each = [cross_entropy(logits[i, 2 * task : 2 * task + 2], labels[i]) for i, task in enumerate(tasks.tolist())]
    torch.testing.assert_close(loss, torch.stack(each).mean())

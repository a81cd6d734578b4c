"""Experience replay, A-GEM and DER++ by hand, on a network of two weights."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from builders import TwoWeights, learned, learner, sgd, slope, two_weights
from torch import Tensor
from torch.nn.functional import cross_entropy

from hnet_cl.benchmarks.base import Split

BENCHMARK = TwoWeights()
OLD, NEW = BENCHMARK.tasks[0].train, BENCHMARK.tasks[1].train


def after_one_task(method: str, steps: int = 3, **changes: Any) -> Any:
    made = learner(method, BENCHMARK, "cl2", target=two_weights, optimizer=sgd, **changes)
    learned(made, BENCHMARK, 1, steps)
    made.begin_task(BENCHMARK.tasks[:2])
    return made


def gradient_of(made: Any, data: Split = NEW) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
    """Weights before a step on the second task, the gradient it used, that of the task alone, and its losses."""
    w = made.network.weight.detach().clone()
    losses = made.step(*data.batch(slice(None)))
    return w, made.network.weight.grad, slope(w, data), losses


@pytest.mark.parametrize(
    ("weighting", "size", "share"), [("tasks", 2, 1 / 2), ("examples", 2, 1 / 2), ("tasks", 9, 1 / 2)]
)
def test_experience_replay(weighting: str, size: int, share: float) -> None:
    w, gradient, own, losses = gradient_of(after_one_task("er", weighting=weighting, replay_batch_size=size))
    torch.testing.assert_close(gradient, share * own + (1 - share) * slope(w, OLD))
    torch.testing.assert_close(losses["replay"], cross_entropy(OLD.images @ w.T, OLD.labels))


@pytest.mark.parametrize(("weighting", "share"), [("tasks", 1 / 2), ("examples", 2 / 3)])
def test_one_replayed_example_for_two_new_ones(weighting: str, share: float) -> None:
    made = after_one_task("er", weighting=weighting, replay_batch_size=1)
    w, gradient, own, _ = gradient_of(made)
    place = made.replayed[0].places
    one = replace(OLD, images=OLD.images[place], labels=OLD.labels[place])
    torch.testing.assert_close(gradient, share * own + (1 - share) * slope(w, one))


def test_asymmetric_cross_entropy() -> None:
    """New examples of class 1 alone train nothing, and replay goes on, of the new task's stored examples too."""
    stored = replace(OLD, images=torch.cat([OLD.images, NEW.images]), labels=torch.cat([OLD.labels, NEW.labels]))
    batch = torch.tensor([[1.5], [-0.5]])
    for labels, own in (([1, 1], False), ([0, 1], True)):
        new = Split(batch, torch.tensor(labels), torch.clone)
        w, gradient, of_new, losses = gradient_of(after_one_task("er_ace"), new)
        torch.testing.assert_close(gradient, slope(w, stored) + (of_new if own else torch.zeros(2, 1)))
        expected = cross_entropy(batch @ w.T, new.labels) if own else torch.tensor(0.0)
        torch.testing.assert_close(losses["loss"], expected)
        torch.testing.assert_close(losses["replay"], cross_entropy(stored.images @ w.T, stored.labels))


def test_only_classes_of_the_batch_are_in_the_softmax_of_new_examples() -> None:
    """Of six outputs in CL3: those of the old task get no gradient from the new examples, those to come none at all."""
    made = learner("er_ace", BENCHMARK, "cl3", target=two_weights, optimizer=sgd)
    learned(made, BENCHMARK, 1)
    made.begin_task(BENCHMARK.tasks[:2])
    inputs, labels = NEW.images, torch.tensor([0, 1])
    logits = (inputs @ made.network.weight.detach().T)[:, 2:4]
    loss = made.loss(inputs, labels)
    torch.testing.assert_close(loss, -logits.log_softmax(1)[[0, 1], [0, 1]].mean())
    (gradient,) = torch.autograd.grad(loss, made.weights)
    assert gradient[:2].eq(0).all() and gradient[2:4].ne(0).all() and gradient[4:].eq(0).all()
    replayed = made.loss(OLD.images, OLD.labels, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(replayed, cross_entropy((OLD.images @ made.network.weight.T)[:, :4], OLD.labels))


def test_in_the_first_task_all_its_outputs_count() -> None:
    made = learner("er_ace", BENCHMARK, "cl3", target=two_weights, optimizer=sgd)
    made.begin_task(BENCHMARK.tasks[:1])
    loss = made.loss(OLD.images, torch.tensor([1, 1]))
    torch.testing.assert_close(loss, cross_entropy((OLD.images @ made.network.weight.T)[:, :2], torch.tensor([1, 1])))


@pytest.mark.parametrize("against", [True, False])
def test_agem_projects_only_gradients_that_point_against_the_stored_ones(against: bool) -> None:
    data = replace(OLD, labels=1 - OLD.labels) if against else OLD
    w, gradient, own, _ = gradient_of(after_one_task("agem"), data)
    reference = slope(w, OLD)
    product = (own * reference).sum()
    assert (product < 0) == against
    expected = own - product / (reference.square().sum() + 1e-7) * reference if against else own
    torch.testing.assert_close(gradient, expected)
    if against:
        assert abs((gradient * reference).sum()) < 1e-6


def test_dark_experience_replay() -> None:
    alpha, beta = 0.3, 0.7
    made = after_one_task("derpp", alpha=alpha, beta=beta)
    stored = OLD.images @ made.network.weight.detach().T
    made.step(*NEW.batch(slice(None)))  # away from the stored logits, where their gradient is zero
    w, gradient, own, losses = gradient_of(made)
    distance = OLD.images @ w.T - stored
    of_logits = 2 * distance.T @ OLD.images / distance.numel()
    torch.testing.assert_close(gradient, own + alpha * of_logits + beta * slope(w, OLD))
    torch.testing.assert_close(losses["logits"], distance.square().mean())


def test_stored_logits_stay_with_their_examples() -> None:
    """Of two old tasks, with a budget that drops examples of the first; and the two batches are drawn apart."""
    buffer = {"examples": 2, "examples_per_class": None, "bytes": None, "balance": "classes"}
    made = learner("derpp", BENCHMARK, "cl3", target=two_weights, optimizer=sgd, buffer=buffer, replay_batch_size=1)
    learned(made, BENCHMARK, 1)
    first = OLD.images @ made.network.weight.detach().T
    made.begin_task(BENCHMARK.tasks[:2])
    made.step(*NEW.batch(slice(None)))
    made.end_task()
    second = NEW.images @ made.network.weight.detach().T
    made.begin_task(BENCHMARK.tasks)
    rows = made.buffer.rows
    assert [len(part) for part in rows] == [1, 1]
    torch.testing.assert_close(made._logits, torch.cat([first[rows[0]], second[rows[1]]]))
    assert made._compared.tolist() == [[True, True, False, False, False, False], [True] * 4 + [False] * 2]
    apart = 0
    for _ in range(20):
        made.prepare(1)
        apart += made.replayed[0].places.item() != made.replayed[1].places.item()
    assert 0 < apart < 20

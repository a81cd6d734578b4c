"""WSN: a step by hand, what later tasks may change, and that nothing of an old task changes by a bit."""

from typing import Any

import pytest
import torch
from builders import (
    MOVERS,
    RATE,
    TwoWeights,
    blobs,
    deep_target,
    learned,
    learner,
    sgd,
    two_weights,
    with_shared_head,
)
from torch import Tensor, nn

from hnet_cl.core.seeding import stream
from hnet_cl.training.rehearsal import inspect

BENCHMARK = blobs()


def test_one_step_by_hand() -> None:
    """Logits are w m x with the one weight of two in the mask that has the larger |s|; both w and s take a step.

    The slope of the product w m is that of plain softmax regression; w gets it where m is 1, and s times w sign(s).
    """
    benchmark = TwoWeights()
    made = with_shared_head("wsn", target=two_weights, optimizer=sgd, kept=0.5)
    made.begin_task(benchmark.tasks[:1])
    weight, score = torch.tensor([[0.5], [-0.7]]), torch.tensor([[0.2], [-0.6]])
    with torch.no_grad():
        made.weights[0].copy_(weight)
        made.masks.scores[0].copy_(score)
    inputs, labels = benchmark.tasks[0].train.batch(slice(None))
    mask = torch.tensor([[0.0], [1.0]])
    p = (inputs @ (weight * mask).T).softmax(1)
    gradient = (p - nn.functional.one_hot(labels, 2)).T @ inputs / len(inputs)
    loss = made.step(inputs, labels)["loss"]
    torch.testing.assert_close(loss, -p[range(2), labels].log().mean())
    torch.testing.assert_close(made.weights[0].data, weight - RATE * gradient * mask)
    torch.testing.assert_close(made.masks.scores[0].data, score - RATE * gradient * weight * score.sign())


def seen_by(made: Any, task: int) -> list[Tensor]:
    """Copies of the weights on which the answers for a task depend: of the last layer, its own head's rows."""
    own = made.heads.own(task)
    weights = [weight.detach().clone() for weight in made.weights_for(task)]
    return [weight[own] if place in made.head else weight for place, weight in enumerate(weights)]


def other_scores(made: Any, task: int) -> None:
    """Draws the scores anew, so that a few steps are enough for another mask than the last task's."""
    made.masks.draw(stream(2, "scores", task))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("optimizer", MOVERS)
def test_nothing_of_old_tasks_changes_by_a_bit(optimizer: str, shared: bool) -> None:
    chosen: dict[str, Any] = {"target": deep_target, "optimizer": MOVERS[optimizer], "reset_optimizer": False}
    made = with_shared_head("wsn", **chosen) if shared else learner("wsn", BENCHMARK, **chosen)
    inputs = BENCHMARK.tasks[0].test.images
    weights: list[list[Tensor]] = []
    logits: list[Tensor] = []
    for number, task in enumerate(BENCHMARK.tasks):
        made.begin_task(BENCHMARK.tasks[: number + 1])
        other_scores(made, number)
        before = [weight.detach().clone() for weight in made.weights]
        for _ in range(8):
            made.step(*task.train.batch(slice(None)))
        during = seen_by(made, number)
        made.end_task()
        assert all((new != old).any() for new, old in zip(made.weights[::2], before[::2], strict=True))
        weights.append(seen_by(made, number))
        assert all(map(torch.equal, during, weights[-1])), "a task keeps the mask that it had at its end"
        logits.append(made.predict(inputs, number).logits)
    for task in range(3):
        assert all(map(torch.equal, seen_by(made, task), weights[task]))
        assert torch.equal(made.predict(inputs, task).logits, logits[task])


def test_what_a_later_task_changes() -> None:
    made = learner("wsn", BENCHMARK, target=deep_target)
    learned(made, BENCHMARK, 1)
    used = made.masks.of(0)
    assert [int(mask.sum()) for mask in used] == [8, 20], "half of 16 and of 40 weights"
    made.begin_task(BENCHMARK.tasks[:2])
    other_scores(made, 1)
    before = [weight.detach().clone() for weight in made.weights]
    scores = [score.detach().clone() for score in made.masks.scores]
    for _ in range(3):
        made.step(*BENCHMARK.tasks[1].train.batch(slice(None)))
    changed = [new != old for new, old in zip(made.weights, before, strict=True)]
    for mask, place in zip(used, (0, 2), strict=True):
        assert changed[place].any() and not (changed[place] & mask).any()
    assert not changed[1].any() and not changed[3].any(), "biases, which the first task has trained"
    rows = changed[4].any(1)
    assert not rows[[0, 1, 4, 5]].any() and rows[[2, 3]].any(), "the head of the second task alone"
    assert changed[5].tolist() == [False, False, True, True, False, False]
    assert all((new != old).any() for new, old in zip(made.masks.scores, scores, strict=True))


def test_gradients_that_do_not_count_are_zero() -> None:
    """So that clipping by their norm does not see them."""
    made = learner("wsn", BENCHMARK, target=deep_target)
    learned(made, BENCHMARK, 1)
    made.begin_task(BENCHMARK.tasks[:2])
    other_scores(made, 1)
    made.step(*BENCHMARK.tasks[1].train.batch(slice(None)))
    assert made.weights[0].grad[made.masks.of(0)[0]].eq(0).all() and made.weights[0].grad.any()
    assert not made.weights[1].grad.any()


def test_the_plain_network_of_a_task_gives_its_answers() -> None:
    made: Any = learned(learner("wsn", BENCHMARK, target=deep_target), BENCHMARK, 3)
    for task in BENCHMARK.tasks:
        network, outputs = made.task_network(task.id)
        expected = made.predict(task.test.images, task.id).logits
        assert torch.equal(network.eval()(task.test.images)[:, outputs], expected)


def test_bytes() -> None:
    made: Any = learned(learner("wsn", BENCHMARK), BENCHMARK, 3)
    assert made.kept_bytes() == {"network": 4 * (15 + 36), "masks": 3 * 2, "scores": 4 * 10}, "10 weights of a layer"
    made = learned(with_shared_head("wsn", target=deep_target), BENCHMARK, 3)
    assert made.kept_bytes()["masks"] == 3 * 9, "16 + 40 + 10 weights of three layers"
    inspect(made, BENCHMARK.tasks[0].train.images[:2])

"""PackNet: what tasks own, what they give up, and that nothing of an old task changes by a bit."""

from typing import Any

import pytest
import torch
from builders import MOVERS, blobs, deep_target, learned, learner, with_shared_head
from torch import Tensor

from hnet_cl.hypernet import trainable
from hnet_cl.training.rehearsal import inspect

BENCHMARK = blobs()


def owned(made: Any, layer: int) -> list[int]:
    """Numbers of weights of a layer that are free, and that the tasks own."""
    counts: list[int] = made.owners[made.layers[layer].weight].flatten().bincount(minlength=4).tolist()
    return counts


def test_shares_that_tasks_own() -> None:
    made = learner("packnet", BENCHMARK, target=deep_target, pruned=0.75)
    assert owned(made, 2) == [0, 10, 10, 10], "of each head's weights"
    found = []
    for tasks in (1, 2, 3):
        made.begin_task(BENCHMARK.tasks[:tasks])
        assert owned(made, 0)[0] == 0, "while it learns, a task has all that was free"
        made.step(*BENCHMARK.tasks[tasks - 1].train.batch(slice(None)))
        made.end_task()
        found.append((owned(made, 0), owned(made, 1)))
    assert found == [
        ([12, 4, 0, 0], [30, 10, 0, 0]),
        ([9, 4, 3, 0], [22, 10, 8, 0]),
        ([0, 4, 3, 9], [0, 10, 8, 22]),
    ], "three quarters of what was free, rounded down; the last task keeps all"
    assert owned(made, 2) == [0, 10, 10, 10]
    biases = [made.owners[layer.bias] for layer in made.layers]
    assert torch.equal(torch.cat(biases[:2]), torch.ones(13, dtype=torch.int16)), "all of the first task"
    assert biases[2].tolist() == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("left", ["zero", "kept"])
def test_the_smallest_weights_are_given_up(left: str) -> None:
    made = learner("packnet", BENCHMARK, pruned=0.5, left=left)
    made.begin_task(BENCHMARK.tasks[:1])
    values = torch.tensor([0.5, -0.1, 0.2, -0.9, 0.3, 0.05, -0.4, 0.7, 0.6, -0.8]).view(5, 2)
    with torch.no_grad():
        made.network.layers[0].weight.copy_(values)
    made.end_task()
    large = values.abs() >= 0.5
    assert torch.equal(made.owners[0] == 1, large) and torch.equal(made.owners[0] == 0, ~large)
    assert torch.equal(made.network.layers[0].weight, values * large if left == "zero" else values)
    assert torch.equal(made.weights_for(0)[0], values * large), "unseen in any case"
    made.begin_task(BENCHMARK.tasks[:2])
    assert torch.equal(made.weights_for(1)[0], values * large if left == "zero" else values)


@pytest.mark.parametrize(("retraining", "first"), [(0.3, 8), (0.0, 11), (0.99, 1)])
def test_weights_are_given_up_before_the_first_step_of_retraining(retraining: float, first: int) -> None:
    made = learner("packnet", BENCHMARK, pruned=0.5, retraining=retraining, optimizer=MOVERS["momentum"])
    made.task_steps = 10
    made.begin_task(BENCHMARK.tasks[:1])
    free = []
    for _ in range(10):
        made.step(*BENCHMARK.tasks[0].train.batch(slice(None)))
        free.append(int((made.owners[0] == 0).sum()))
        assert torch.equal(made.network.layers[0].weight == 0, made.owners[0] == 0), "and stay zero"
    assert free == [0] * (first - 1) + [5] * (11 - first)
    made.end_task()
    assert int((made.owners[0] == 0).sum()) == 5, "once"


@pytest.mark.parametrize("left", ["zero", "kept"])
@pytest.mark.parametrize("optimizer", MOVERS)
def test_nothing_of_old_tasks_changes_by_a_bit(optimizer: str, left: str) -> None:
    made = learner(
        "packnet", BENCHMARK, target=deep_target, optimizer=MOVERS[optimizer], left=left, reset_optimizer=False
    )
    inputs = BENCHMARK.tasks[0].test.images
    weights: list[list[Tensor]] = []
    logits: list[Tensor] = []
    for number, task in enumerate(BENCHMARK.tasks):
        made.task_steps = 8
        made.begin_task(BENCHMARK.tasks[: number + 1])
        before = [weight.detach().clone() for weight in made.weights]
        for _ in range(8):
            made.step(*task.train.batch(slice(None)))
        made.end_task()
        assert all((new != old).any() for new, old in zip(made.weights[::2], before[::2], strict=True))
        weights.append([weight.detach().clone() for weight in made.weights_for(number)])
        logits.append(made.predict(inputs, number).logits)
    for task in range(3):
        assert all(map(torch.equal, made.weights_for(task), weights[task]))
        assert torch.equal(made.predict(inputs, task).logits, logits[task])


def test_the_plain_network_of_a_task_gives_its_answers() -> None:
    made = learned(learner("packnet", BENCHMARK, target=deep_target), BENCHMARK, 3)
    for task in BENCHMARK.tasks:
        network, outputs = made.task_network(task.id)
        expected = made.predict(task.test.images, task.id).logits
        assert torch.equal(network.eval()(task.test.images)[:, outputs], expected)
        assert trainable(network).keys() == trainable(made.network).keys()
    assert (made.task_network(0)[0][0].weight != made.network[0].weight).any()


def test_a_shared_head_is_packed_too() -> None:
    made = with_shared_head("packnet", pruned=0.5)
    inspect(made, BENCHMARK.tasks[0].train.images[:2])
    made.begin_task(BENCHMARK.tasks[:1])
    made.end_task()
    assert owned(made, 1) == [5, 5, 0, 0]

"""GDumb: what its buffer stores, and that its network starts again with every task."""

import pytest
import torch
from builders import TwoWeights, blobs, learned, learner, rows_of, sgd, slope, training, two_weights

from hnet_cl.methods.parts.buffer import BufferSettings, ReplayBuffer, greedy
from hnet_cl.training.trainer import Start

A, B, C = range(3)


@pytest.mark.parametrize(
    ("arrivals", "budget", "stored"),
    [
        ([A, A, A, A, A], 4, [4, 0, 0]),
        ([A, A, A, A, B], 4, [3, 1, 0]),  # the first of its class takes a place of the largest
        ([A, A, A, A, B, B, B], 4, [2, 2, 0]),  # 4 / 2 each, and no more
        ([A, A, A, A, B, B, B, C], 4, [1, 2, 1]),
        ([A, A, A, A, B, B, B, C, C], 4, [1, 1, 2]),  # fewer than 4 / 3
        ([A, B, A, B, A, B], 4, [2, 2, 0]),
        ([A, B, C], 2, [0, 1, 1]),
        ([A, B, B], 10, [1, 2, 0]),
    ],
)
def test_greedy_balance(arrivals: list[int], budget: int, stored: list[int]) -> None:
    assert greedy(arrivals, 3, budget) == stored


def test_the_buffer_fills_class_by_class() -> None:
    """Ten places: a class that arrives gets fewer than 10 / 2, 10 / 4 and 10 / 6 rounded up, and the largest shrink."""
    tasks = blobs(num_tasks=3, train_per_class=30).tasks
    chosen = BufferSettings(examples=10, examples_per_class=None, bytes=None, balance="greedy")
    before: list[set[int]] = []
    for number, expected in ((1, [[5, 5]]), (2, [[2, 2], [3, 3]]), (3, [[1, 1], [2, 2], [2, 2]])):
        buffer = ReplayBuffer(chosen, tasks[:number], 1)
        counts = [t.train.labels[rows].bincount().tolist() for t, rows in zip(tasks, buffer.rows, strict=False)]
        assert counts == expected and len(buffer) == 10
        now = [set(rows.tolist()) for rows in buffer.rows]
        assert all(new <= old for new, old in zip(now, before, strict=False)), "who has left never returns"
        before = now


@pytest.mark.parametrize("scenario", ["cl1", "cl3"])
def test_it_learns_from_the_buffer_alone_and_anew(scenario: str) -> None:
    benchmark = TwoWeights()
    made = learner("gdumb", benchmark, scenario, target=two_weights, optimizer=sgd)
    start = made.network.weight.detach().clone()
    learned(made, benchmark, 1)
    assert not torch.equal(made.network.weight, start)
    made.begin_task(benchmark.tasks[:2])
    assert torch.equal(made.network.weight, start)
    data = made.training_data(benchmark.tasks[:2])
    inputs, labels, tasks = data.batch(torch.arange(len(data)))
    assert inputs[:, 0].tolist() == [1.0, 0.5, -1.0, 2.0] and tasks.tolist() == [0, 0, 1, 1]
    made.step(inputs, labels, tasks)
    first, second = (slope(start[slice(2 * t, 2 * t + 2)], benchmark.tasks[t].train) / 2 for t in (0, 1))
    if scenario == "cl1":
        torch.testing.assert_close(made.network.weight.grad, torch.cat([first, second, torch.zeros(2, 1)]))
    else:
        p = (inputs @ start[:4].T).softmax(1) - torch.nn.functional.one_hot(labels + 2 * tasks, 4)
        torch.testing.assert_close(made.network.weight.grad[:4], p.T @ inputs / 4)


def test_the_last_row_does_not_depend_on_the_trainings_before_it() -> None:
    benchmark = blobs()
    short, long = training(iterations=1), training(iterations=30)
    whole, last = learner("gdumb", benchmark, "cl3"), learner("gdumb", benchmark, "cl3")
    final = list(rows_of(whole, benchmark.tasks, long, []))[-1]
    before = rows_of(last, benchmark.tasks, short, [])
    assert next(before) != next(before)
    assert list(rows_of(last, benchmark.tasks, long, [], Start(task=2)))[-1] == final

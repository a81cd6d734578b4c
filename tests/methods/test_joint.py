"""Joint training: what it learns from and what it minimises."""

import pytest
import torch
from builders import blobs, learner, rows_of, training
from torch.nn.functional import cross_entropy

from hnet_cl.targets.mlp import MLP


def test_it_learns_from_the_data_of_all_tasks_so_far_and_none_to_come() -> None:
    benchmark = blobs(num_tasks=3, train_per_class=50)
    data = learner("joint", benchmark).training_data(benchmark.tasks[:2])
    assert len(data) == 200
    order = torch.randperm(200)
    inputs, labels, tasks = data.batch(order)
    for number, task in enumerate(benchmark.tasks[:2]):
        own = order[order // 100 == number] - 100 * number
        here = tasks == number
        assert torch.equal(inputs[here], task.train.images[own]) and torch.equal(labels[here], task.train.labels[own])
    assert torch.equal(tasks, tasks.sort().values) and tasks.unique().tolist() == [0, 1]


def test_it_makes_as_many_steps_as_other_methods() -> None:
    benchmark = blobs(num_tasks=3)
    made, steps = learner("joint", benchmark), []
    step = made.step
    made.step = lambda *batch: steps.append(len(batch[0])) or step(*batch)
    list(rows_of(made, benchmark.tasks, training(iterations=None, epochs=2, batch_size=8), []))
    assert steps == [8] * 3 * 2 * 8  # a task has 60 examples


@pytest.mark.parametrize(("scenario", "span"), [("cl1", None), ("cl2", slice(0, 2)), ("cl3", slice(0, 4))])
def test_each_example_is_under_its_own_head_where_the_task_is_known(scenario: str, span: slice | None) -> None:
    benchmark = blobs(num_tasks=2)
    method = learner("joint", benchmark, scenario)
    method.begin_task(benchmark.tasks)
    batch = method.training_data(benchmark.tasks).batch(torch.arange(45, 75))
    loss = method.loss(*batch)
    expected = torch.zeros(())
    for x, y, task in zip(*batch, strict=True):
        outputs = span or method.heads.own(int(task))
        target = method.heads.label(y, int(task)) - outputs.start
        expected = expected + cross_entropy(method.network(x[None])[0, outputs], target) / 30
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(weight.grad.isfinite().all() for weight in method.weights)


def test_is_above_fine_tuning_where_that_forgets() -> None:
    benchmark = blobs(spread=0.05)
    final = {}
    for name in ("joint", "finetune"):
        method = learner(name, benchmark, "cl3", target=lambda number: MLP((2,), number, [30]))
        rows = list(rows_of(method, benchmark.tasks, training(iterations=150), []))
        final[name] = sum(rows[-1].scores) / 3
    assert final["joint"] > final["finetune"] + 0.2, final

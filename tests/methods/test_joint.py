"""Joint training: what it sees and what it minimises."""

from collections.abc import Callable

import pytest
import torch
from builders import blobs, learner, rows_of, training
from torch import Tensor
from torch.nn.functional import cross_entropy

from hnet_cl.benchmarks.base import Task
from hnet_cl.targets.mlp import MLP


def watch(task: Task, listen: Callable[[int, Tensor, Tensor, Tensor], None]) -> None:
    """Tells `listen` of the examples that are taken from a task: its number, their indices, inputs and labels."""
    given = task.train.batch

    def batch(index: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        inputs, labels = given(index, draws)
        listen(task.id, index, inputs, labels)
        return inputs, labels

    object.__setattr__(task.train, "batch", batch)


def test_batches_are_uniform_over_the_data_so_far() -> None:
    benchmark = blobs(num_tasks=3, train_per_class=50)
    method = learner("joint", benchmark)
    drawn: list[list[int]] = [[], [], []]
    for task in benchmark.tasks:
        watch(task, lambda number, index, *_: drawn[number].extend(index.tolist()))
    method.begin_task(benchmark.tasks[:2])
    for _ in range(40):
        method.loss(torch.zeros(50, 2), torch.zeros(50))
    assert not drawn[2], "a task to come is not seen"
    assert len(drawn[0]) + len(drawn[1]) == 2000 and 880 < len(drawn[0]) < 1120  # 5 standard deviations
    assert set(drawn[0]) == set(drawn[1]) == set(range(100))


@pytest.mark.parametrize(("scenario", "span"), [("cl1", None), ("cl2", slice(0, 2)), ("cl3", slice(0, 4))])
def test_each_example_is_under_its_own_head_where_the_task_is_known(scenario: str, span: slice | None) -> None:
    benchmark = blobs(num_tasks=2)
    method = learner("joint", benchmark, scenario)
    method.begin_task(benchmark.tasks)
    seen: list[tuple[int, Tensor, Tensor]] = []
    for task in benchmark.tasks:
        watch(task, lambda number, _, inputs, labels: seen.append((number, inputs, labels)))
    loss = method.loss(torch.zeros(30, 2), torch.zeros(30))
    expected = torch.zeros(())
    for number, inputs, labels in seen:
        outputs = span or method.heads.own(number)
        target = method.heads.label(labels, number) - outputs.start
        expected = expected + cross_entropy(method.network(inputs)[:, outputs], target, reduction="sum") / 30
    torch.testing.assert_close(loss, expected)


def test_is_above_fine_tuning_where_that_forgets() -> None:
    benchmark = blobs(spread=0.05)
    final = {}
    for name in ("joint", "finetune"):
        method = learner(name, benchmark, "cl3", target=lambda number: MLP((2,), number, [30]))
        rows = list(rows_of(method, benchmark.tasks, training(iterations=400), 1, []))
        final[name] = sum(rows[-1].accuracies) / 3
    assert final["joint"] > final["finetune"] + 0.2, final

"""What is said of the sizes of tasks."""

from dataclasses import replace

import torch
from builders import blobs

from hnet_cl.benchmarks.overview import by, class_sizes, overview, span


def test_sizes_of_equal_tasks() -> None:
    benchmark = blobs()
    assert class_sizes(benchmark.tasks[0]) == [30, 30]
    assert overview(benchmark) == (
        "Data toy: 3 tasks of 2 classes, training examples 60 a task and 30 a class, test examples 40 a task, inputs 2."
    )


def test_sizes_of_unequal_tasks_are_spans() -> None:
    benchmark = blobs(num_tasks=2)
    some = benchmark.tasks[0].train.labels.argsort()[:40]
    first, second = benchmark.tasks
    benchmark.tasks = [replace(first, train=first.train.part(some)), second]
    assert overview(benchmark).startswith(
        "Data toy: 2 tasks of 2 classes, training examples 40 to 60 a task and 10 to 30 a class, test"
    )


def test_labels_that_are_numbers_have_no_classes() -> None:
    benchmark = blobs(num_tasks=1)
    train = replace(benchmark.tasks[0].train, labels=torch.rand(60, 1))
    benchmark.tasks = [replace(benchmark.tasks[0], train=train)]
    assert overview(benchmark) == "Data toy: 1 task, training examples 60 a task, test examples 40 a task, inputs 2."


def test_numbers_for_people() -> None:
    assert span([2000, 1000, 1500]) == "1,000 to 2,000" and span([7]) == "7"
    assert by((3, 32, 32)) == "3 x 32 x 32"

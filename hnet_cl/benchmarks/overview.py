"""Sizes of tasks and of their classes, for people to read."""

from collections.abc import Iterable, Sequence

from hnet_cl.benchmarks.base import Benchmark, Task


def class_sizes(task: Task) -> list[int]:
    """Returns the number of training examples of each class (C,); an empty list if labels are not classes."""
    labels = task.train.labels
    sizes: list[int] = [] if labels.is_floating_point() else labels.bincount(minlength=task.num_classes).tolist()
    return sizes


def overview(benchmark: Benchmark) -> str:
    """Returns one line on the data of a benchmark: the number of tasks, and the sizes of tasks and classes."""
    tasks = benchmark.tasks
    number = "1 task" if len(tasks) == 1 else f"{len(tasks)} tasks"
    sizes = [size for task in tasks for size in class_sizes(task)]
    classes, each = (
        (f" of {span(benchmark.class_counts)} classes", f" and {span(sizes)} a class") if sizes else ("", "")
    )
    return (
        f"Data {benchmark.data.name}: {number}{classes}, training examples {span(len(task.train) for task in tasks)} a "
        f"task{each}, test examples {span(len(task.test) for task in tasks)} a task, inputs {by(benchmark.in_shape)}."
    )


def span(numbers: Iterable[int]) -> str:
    """Returns the smallest and the largest number, as `1,000 to 2,000`, or the only one."""
    low, *_, high = sorted({*numbers}) * 2
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def by(shape: Sequence[int]) -> str:
    """Returns a shape as `3 x 32 x 32`."""
    return " x ".join(map(str, shape))

"""What every benchmark's tasks can do: majority, order, parts, and how much their test data say."""

import pytest
import torch
from builders import blobs

from hnet_cl.benchmarks.base import Split, Task, hold_out, independent_examples, shuffled, shuffled_order


def split(labels: list[int], images: torch.Tensor | None = None, rows: torch.Tensor | None = None) -> Split:
    return Split(torch.zeros(len(labels), 1) if images is None else images, torch.tensor(labels), torch.clone, rows)


def task(train: list[int], test: list[int], validation: list[int] | None = None) -> Task:
    return Task(0, "a task", split(train), split(test), 3, None if validation is None else split(validation))


def test_majority_is_what_could_have_been_known() -> None:
    assert task([0, 0, 1], [0, 1, 1, 1]).majority == 0.25
    assert task([0, 0, 1], [0, 1, 1, 1], validation=[1, 1]).majority == 0.75
    assert task([2], [0, 1]).majority == 0


def test_shuffled_tasks_are_the_same_tasks_numbered_anew() -> None:
    tasks = blobs(num_tasks=6).tasks
    one, again, other = (shuffled(tasks, seed) for seed in (1, 1, 2))
    names = [[task.name for task in order] for order in (one, again, other)]
    assert names[0] == names[1] != names[2] != [task.name for task in tasks]
    assert sorted(names[0]) == [task.name for task in tasks]
    assert [task.id for task in one] == list(range(6))
    by_name = {task.name: task for task in tasks}
    assert all(task.train is by_name[task.name].train for task in one)
    assert [tasks[old].name for old in shuffled_order(6, 1)] == names[0]


def test_validation_data_of_the_benchmark_itself_are_taken() -> None:
    given = task([0, 1, 1], [0], validation=[1, 2])
    (held,) = hold_out([given], share=0.1, seed=1)
    assert held.test is given.validation and held.train is given.train
    assert held.majority == 0.5, "from the training labels alone"


def test_augmentation_needs_draws_and_goes_with_the_parts() -> None:
    images = torch.arange(6.0)[:, None]
    whole = Split(
        images, torch.arange(6), lambda x: x * 10, augment=lambda x, draws: x + torch.rand(1, generator=draws)
    )
    for data in (whole, whole.part(torch.tensor([2, 0, 1])).part(torch.tensor([1, 2]))):
        plain, _ = data.batch(slice(0, 2))
        draws = [data.batch(slice(0, 2), torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)]
        assert plain[:, 0].tolist() == [0, 10]
        assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
        assert (draws[0] > plain).all() and (draws[0] < plain + 10).all()


def sized(*sizes: int) -> list[Task]:
    return [task([0], [0] * size) for size in sizes]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((11,) * 4, [11, 22, 33, 44]), ((10_000, 1000, 1000), [10_000, 4 / (1 / 10_000 + 1 / 1000), 9 / 0.0021])],
)
def test_independent_examples_of_separate_tests(sizes: tuple[int, ...], expected: list[float]) -> None:
    assert independent_examples(sized(*sizes)) == pytest.approx(expected)


def test_independent_examples_are_those_that_a_mean_varies_like() -> None:
    torch.manual_seed(0)
    sizes, p = (40, 10, 25), 0.7
    means = torch.stack([torch.rand(20_000, n).less(p).float().mean(1) for n in sizes]).mean(0)
    assert p * (1 - p) / means.var().item() == pytest.approx(independent_examples(sized(*sizes))[-1], rel=0.03)


def test_images_that_tasks_share_count_once() -> None:
    images = torch.zeros(50, 1)
    whole = [Task(i, "permuted", split([0], None), split([0] * 50, images), 3) for i in range(3)]
    assert independent_examples(whole) == pytest.approx([50, 50, 50])
    rows = torch.arange(50).split(25)
    parts = [Task(i, "part", split([0]), split([0] * 25, images, rows[i % 2].clone()), 3) for i in range(4)]
    assert independent_examples(parts) == pytest.approx([25, 50, 9 / (4 / 25 + 1 / 25), 50])

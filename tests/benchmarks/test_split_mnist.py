"""Split MNIST: which digits a task has, and which labels they get."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hnet_cl.benchmarks.split_mnist import SplitMNIST
from hnet_cl.datasets.mnist import load_mnist, scale_pixels

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "name": "smnist",
    "num_tasks": 5,
    "classes_per_task": 2,
    "source": "embedded",
    "shuffle_digits": False,
    "seed": 42,
}


def make(**changes: Any) -> SplitMNIST:
    return SplitMNIST(SplitMNIST.Settings(**(SETTINGS | changes)), Path("unused"), CPU)


def digits_of(benchmark: SplitMNIST) -> list[list[int]]:
    return [[int(digit) for digit in task.name.split()[1:]] for task in benchmark.tasks]


def test_pairs_in_the_order_of_the_paper() -> None:
    benchmark = make()
    assert digits_of(benchmark) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert benchmark.in_shape == (1, 28, 28)
    assert benchmark.class_counts == (2, 2, 2, 2, 2)
    assert benchmark.data.name == "mnist-5k"
    assert [task.id for task in benchmark.tasks] == [0, 1, 2, 3, 4]
    inputs, _ = benchmark.tasks[2].test.batch(slice(0, 3))
    picture = benchmark.tasks[2].picture
    assert picture and torch.equal(picture(inputs), inputs)


@pytest.mark.parametrize("changes", [{}, {"shuffle_digits": True}, {"num_tasks": 3, "classes_per_task": 3}])
def test_labels_count_from_zero_in_the_order_of_the_digits(changes: dict[str, Any]) -> None:
    benchmark = make(**changes)
    data = load_mnist("embedded", Path("unused"))
    for task, digits in zip(benchmark.tasks, digits_of(benchmark), strict=True):
        for split, images, labels in (
            (task.train, data.train_images, data.train_labels),
            (task.test, data.test_images, data.test_labels),
        ):
            inputs, own = split.batch(slice(0, len(split)))
            assert own.dtype == torch.int64 and inputs.dtype == torch.float32
            for label, digit in enumerate(digits):
                expected = scale_pixels(images[labels == digit]).unsqueeze(1)
                assert torch.equal(inputs[own == label], expected)
            assert len(split) == sum(int((labels == digit).sum()) for digit in digits)
        assert task.num_classes == len(digits)
        assert task.classes == [str(digit) for digit in digits]


@given(num_tasks=st.integers(1, 5), classes=st.integers(2, 10), seed=st.integers(0, 10_000))
def test_settings_allow_exactly_what_ten_digits_allow(num_tasks: int, classes: int, seed: int) -> None:
    values = SETTINGS | {"num_tasks": num_tasks, "classes_per_task": classes, "seed": seed}
    if num_tasks * classes <= 10:
        assert SplitMNIST.Settings(**values).classes_per_task == classes
    else:
        with pytest.raises(ValidationError, match=f"num_tasks={num_tasks} times classes_per_task={classes} is"):
            SplitMNIST.Settings(**values)


def test_digits_become_inputs() -> None:
    benchmark = make(shuffle_digits=True)
    (kind,) = SplitMNIST.image_kinds(SplitMNIST.Settings(**SETTINGS), 3)
    assert (kind.channels, kind.height, kind.width, kind.of_task) == (1, 28, 28, False)
    test = benchmark.tasks[3].test
    assert torch.equal(kind.encode(test.images.unsqueeze(1)), test.batch(slice(0, len(test)))[0])


def test_shuffled_digits_are_all_digits_and_follow_the_seed() -> None:
    one, same, other = (digits_of(make(shuffle_digits=True, seed=seed)) for seed in (1, 1, 2))
    assert sorted(digit for pair in one for digit in pair) == list(range(10))
    assert one == same and one != other
    assert digits_of(make(shuffle_digits=True, seed=1, num_tasks=2)) == one[:2]


def test_seed_is_idle_without_shuffling() -> None:
    assert digits_of(make(seed=1)) == digits_of(make(seed=2))


def test_full_mnist(full_data: Path) -> None:
    settings = SplitMNIST.Settings(**(SETTINGS | {"source": "full"}))
    benchmark = SplitMNIST(settings, full_data, CPU)
    assert [len(task.test) for task in benchmark.tasks] == [2115, 2042, 1874, 1986, 1983]
    assert sum(len(task.train) for task in benchmark.tasks) == 60_000
    assert benchmark.tasks[0].majority == pytest.approx(1135 / 2115)


@pytest.mark.parametrize(
    "change", [{"num_tasks": 6}, {"num_tasks": 0}, {"classes_per_task": 1}, {"shuffle_digits": "no"}]
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        SplitMNIST.Settings(**(SETTINGS | change))

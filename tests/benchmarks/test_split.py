"""Split protocol: which classes a task has, and which labels they get; the digits of split MNIST."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hnet_cl.benchmarks.split import SplitClasses
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import scale_pixels
from hnet_cl.datasets.mnist import MNIST, load_mnist

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "name": "smnist",
    "num_tasks": 5,
    "classes_per_task": 2,
    "shuffle_classes": False,
    "seed": 42,
}


def digits(source: str = "embedded", data_dir: Path = Path("unused")) -> MNIST:
    return MNIST(MNIST.Settings(name="mnist", source=source), data_dir)


def make(dataset: Dataset | None = None, **changes: Any) -> SplitClasses:
    return SplitClasses(SplitClasses.Settings(**(SETTINGS | changes)), dataset or digits(), CPU)


def digits_of(benchmark: SplitClasses) -> list[list[int]]:
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


@pytest.mark.parametrize("changes", [{}, {"shuffle_classes": True}, {"num_tasks": 3, "classes_per_task": 3}])
def test_labels_count_from_zero_in_the_order_of_the_digits(changes: dict[str, Any]) -> None:
    benchmark = make(**changes)
    data = load_mnist("embedded", Path("unused"))
    for task, numbers in zip(benchmark.tasks, digits_of(benchmark), strict=True):
        for split, images, labels in (
            (task.train, *data.train),
            (task.test, *data.test),
        ):
            inputs, own = split.batch(slice(0, len(split)))
            assert own.dtype == torch.int64 and inputs.dtype == torch.float32
            for label, digit in enumerate(numbers):
                expected = scale_pixels(images[labels == digit])
                assert torch.equal(inputs[own == label], expected)
            assert len(split) == sum(int((labels == digit).sum()) for digit in numbers)
        assert task.num_classes == len(numbers)
        assert task.classes == [str(digit) for digit in numbers]


@given(num_tasks=st.integers(1, 5), classes=st.integers(2, 10), seed=st.integers(0, 10_000))
def test_settings_allow_exactly_what_ten_digits_allow(num_tasks: int, classes: int, seed: int) -> None:
    values = SETTINGS | {"num_tasks": num_tasks, "classes_per_task": classes, "seed": seed}
    reason = SplitClasses.unsupported(SplitClasses.Settings(**values), digits())
    if num_tasks * classes <= 10:
        assert reason is None
    else:
        assert reason == (
            f"num_tasks={num_tasks} times classes_per_task={classes} is more than the 10 classes of dataset=mnist: "
            "lower one of them"
        )


def test_digits_become_inputs() -> None:
    benchmark = make(shuffle_classes=True)
    (kind,) = SplitClasses.image_kinds(SplitClasses.Settings(**SETTINGS), digits(), 3)
    assert (kind.channels, kind.height, kind.width, kind.of_task) == (1, 28, 28, False)
    test = benchmark.tasks[3].test
    assert test.rows is not None
    assert torch.equal(kind.encode(test.images[test.rows]), test.batch(slice(0, len(test)))[0])


def test_shuffled_digits_are_all_digits_and_follow_the_seed() -> None:
    one, same, other = (digits_of(make(shuffle_classes=True, seed=seed)) for seed in (1, 1, 2))
    assert sorted(digit for pair in one for digit in pair) == list(range(10))
    assert one == same and one != other
    assert digits_of(make(shuffle_classes=True, seed=1, num_tasks=2)) == one[:2]


def test_seed_is_idle_without_shuffling() -> None:
    assert digits_of(make(seed=1)) == digits_of(make(seed=2))


def test_full_mnist(full_data: Path) -> None:
    benchmark = make(digits("full", full_data))
    assert [len(task.test) for task in benchmark.tasks] == [2115, 2042, 1874, 1986, 1983]
    assert sum(len(task.train) for task in benchmark.tasks) == 60_000
    assert benchmark.tasks[0].majority == pytest.approx(1135 / 2115)


@pytest.mark.parametrize("change", [{"num_tasks": 0}, {"classes_per_task": 1}, {"shuffle_classes": "no"}])
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        SplitClasses.Settings(**(SETTINGS | change))


class Pets(Dataset):
    """One example of each of five kinds, of which the fourth has none to test with."""

    def load(self) -> Data:
        points, labels = torch.arange(10.0).view(5, 2), torch.arange(5)
        kept = torch.tensor([0, 1, 2, 4])
        names = ["cat", "dog", "fish", "bird", "newt"]
        groups = None if self.settings.name == "pets" else [[0, 1, 2], [3, 4]]
        identity = DataIdentity("pets", "here", "0")
        return Data(Part(points, labels), Part(points[kept], labels[kept]), names, identity, groups)


def pets(name: str = "pets") -> Pets:
    return Pets(Pets.Settings(name=name), Path("unused"))


@pytest.mark.parametrize(
    ("name", "changes", "tasks"),
    [
        ("pets", {}, ["cat, dog", "fish, newt"]),
        ("pets", {"classes_per_task": 3}, ["cat, dog, fish"]),
        ("pets", {"classes_per_task": 4}, ["cat to newt"]),
        ("pets", {"num_tasks": 1}, ["cat, dog"]),
        ("two groups", {}, ["cat, dog"]),
    ],
)
def test_classes_without_test_data_and_remainders_are_left_out(
    name: str, changes: dict[str, Any], tasks: list[str]
) -> None:
    benchmark = make(pets(name), **{"num_tasks": None, **changes})
    assert [task.name for task in benchmark.tasks] == tasks
    inputs, labels = benchmark.tasks[-1].test.batch(slice(None))
    own = {"fish, newt": [[4.0, 5.0], [8.0, 9.0]]}.get(tasks[-1])
    assert own is None or inputs.tolist() == own
    assert labels.tolist() == list(range(len(labels)))
    assert benchmark.tasks[0].picture is None and benchmark.in_shape == (2,)


def test_too_few_classes_that_only_the_data_tell() -> None:
    line = r"^num_tasks=3: pets has classes for 2 tasks of 2 classes; lower num_tasks or classes_per_task, or add"
    with pytest.raises(UserError, match=line):
        make(pets(), num_tasks=3)
    with pytest.raises(UserError, match=r"^classes_per_task=5: pets has classes for 0 tasks"):
        make(pets(), num_tasks=None, classes_per_task=5)

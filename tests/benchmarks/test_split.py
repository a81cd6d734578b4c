"""Split protocol: which classes a task has, and which labels they get; the digits of split MNIST."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hnet_cl.benchmarks.dealing import dealt
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
    "tasks": None,
    "keep_remainder": False,
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


@pytest.mark.parametrize(
    ("changes", "tasks"),
    [
        ({"classes_per_task": 3}, [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
        ({"classes_per_task": 3, "keep_remainder": True}, [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]),
        ({"classes_per_task": 5, "keep_remainder": True}, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]),
        ({"classes_per_task": 3, "keep_remainder": True, "num_tasks": 2}, [[0, 1, 2], [3, 4, 5]]),
        ({"classes_per_task": [1, 2, 5]}, [[0], [1, 2], [3, 4, 5, 6, 7]]),
        ({"classes_per_task": [1, 2, 5], "num_tasks": 2}, [[0], [1, 2]]),
        ({"tasks": [[7, 1], [3, 4, 0]]}, [[7, 1], [3, 4, 0]]),
        ({"tasks": [["7", 1], [3, 4, 0]], "num_tasks": 1}, [[7, 1]]),
    ],
)
def test_tasks_of_different_sizes(changes: dict[str, Any], tasks: list[list[int]]) -> None:
    settings = SplitClasses.Settings(**(SETTINGS | {"num_tasks": None} | changes))
    assert SplitClasses.unsupported(settings, digits()) is None
    assert dealt(load_mnist("embedded", Path("unused")), settings) == tasks


def test_listed_classes_get_labels_in_the_order_in_which_they_are_listed() -> None:
    task = make(pets(), tasks=[["newt", "cat"], ["fish"]], num_tasks=None).tasks[0]
    inputs, labels = task.train.batch(slice(None))
    assert dict(zip(labels.tolist(), inputs[:, 0].tolist(), strict=True)) == {0: 8, 1: 0}
    assert task.name == "newt, cat" and task.classes == ["newt", "cat"] and task.num_classes == 2


def test_shuffled_classes_of_different_sizes_follow_the_seed() -> None:
    order = [one for own in digits_of(make(shuffle_classes=True, seed=1)) for one in own]
    assert digits_of(make(shuffle_classes=True, seed=1, classes_per_task=[3, 1, 6], num_tasks=None)) == [
        order[:3],
        order[3:4],
        order[4:],
    ]


def test_names_count_before_labels() -> None:
    identity, part = DataIdentity("years", "here", "0"), Part(torch.zeros(3, 2), torch.arange(3))
    data = Data(part, part, ["1", "10", "2"], identity)
    for listed, labels in (([[2], [10, 1]], [[2], [1, 0]]), ([[2], [0, 1]], [[2], [0, 1]])):
        assert dealt(data, SplitClasses.Settings(**(SETTINGS | {"tasks": listed, "num_tasks": None}))) == labels


def test_groups_of_the_data_are_tasks() -> None:
    grouped = SplitClasses.Settings(**(SETTINGS | {"tasks": "groups", "num_tasks": None}))
    assert SplitClasses.unsupported(grouped, pets("two groups")) is None
    assert dealt(pets("two groups").load(), grouped) == [[0, 1, 2], [4]]
    assert dealt(pets().load(), grouped) == [[0, 1, 2, 4]]
    with pytest.raises(UserError, match=r"^num_tasks=3: pets has 2 groups of classes; give no more, or null$"):
        make(pets("two groups"), tasks="groups", num_tasks=3)


def test_groups_are_not_mixed_by_tasks_of_different_sizes() -> None:
    settings = SplitClasses.Settings(**(SETTINGS | {"classes_per_task": [2, 1, 1], "num_tasks": 2}))
    assert dealt(pets("two groups").load(), settings) == [[0, 1], [2]]
    several = SplitClasses.Settings(**(SETTINGS | {"classes_per_task": [2, 2], "num_tasks": None}))
    with pytest.raises(UserError, match=r"^classes_per_task=\[2, 2\]: pets has classes for 1 tasks of \[2, 2\]"):
        dealt(pets("two groups").load(), several)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"tasks": [[0, 1]], "shuffle_classes": True}, "shuffle_classes=true: tasks says which classes"),
        ({"tasks": [[0, 1]]}, "num_tasks=5: tasks is for 1 tasks; give no more, or num_tasks=null"),
        ({"classes_per_task": [2, 2]}, "num_tasks=5: classes_per_task is for 2 tasks; give no more"),
        ({"classes_per_task": [2, 2], "keep_remainder": True}, "keep_remainder=true: classes_per_task says how many"),
        ({"tasks": [[0, 1], [2, 0]], "num_tasks": None}, "tasks=[[0, 1], [2, 0]]: class 0 is there twice"),
        ({"classes_per_task": [5, 6], "num_tasks": 2}, "classes_per_task=[5, 6]: 11 classes are more than the 10 cl"),
        ({"classes_per_task": 3, "keep_remainder": True}, "num_tasks=5 times classes_per_task=3 is more than the 10"),
    ],
)
def test_what_cannot_be_dealt_out_is_one_line(changes: dict[str, Any], line: str) -> None:
    reason = SplitClasses.unsupported(SplitClasses.Settings(**(SETTINGS | changes)), digits())
    assert reason is not None and reason.startswith(line) and "\n" not in reason


@pytest.mark.parametrize(
    ("listed", "line"),
    [
        ([["cat", "dgo"]], "tasks: pets has no class dgo; did you mean dog? there are bird, cat, dog, fish, newt"),
        ([[0, 5]], "tasks: pets has no class 0; there are bird, cat, dog, fish, newt"),
        ([["cat", "bird"]], "tasks: pets has no training or no test examples of bird; leave out such classes"),
    ],
)
def test_classes_that_the_data_lack(listed: list[list[Any]], line: str) -> None:
    with pytest.raises(UserError) as caught:
        make(pets(), tasks=listed, num_tasks=None)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize("tasks", [[], [[]], [0, 1], [[0.5]], [[True]], "all", [[None]]])
def test_a_list_of_lists_is_needed(tasks: Any) -> None:
    with pytest.raises(ValidationError, match=r"1 validation error(.|\n)*tasks\n.*give a list of lists of classes"):
        SplitClasses.Settings(**(SETTINGS | {"tasks": tasks}))


@pytest.mark.parametrize("sizes", [1, 0, [], [0, 2], [2.0], True, "two", [10_001]])
def test_a_number_of_classes_or_one_for_each_task_is_needed(sizes: Any) -> None:
    with pytest.raises(ValidationError, match=r"1 validation error(.|\n)*classes_per_task\n.*give a whole number"):
        SplitClasses.Settings(**(SETTINGS | {"classes_per_task": sizes}))

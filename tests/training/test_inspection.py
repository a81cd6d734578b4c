"""Everything that can be wrong with tasks is one line before anything is trained."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders import CPU, blobs
from torch import Tensor

from hnet_cl.benchmarks.base import Benchmark, Split, Task
from hnet_cl.core.errors import UserError
from hnet_cl.training import inspection
from hnet_cl.training.inspection import inspect_tasks


def same(x: Tensor) -> Tensor:
    return x


def mine(**changes: Any) -> Benchmark:
    """Two tasks of three classes, of which the second one has these `changes`."""
    benchmark = blobs(num_tasks=2, num_classes=3, train_per_class=4, test_per_class=2)
    benchmark.tasks[1] = replace(benchmark.tasks[1], name="odd", **changes)
    return benchmark


def split(**changes: Any) -> Split:
    """Twelve examples of three classes with these `changes`."""
    usual: dict[str, Any] = {"images": torch.rand(12, 2), "labels": torch.arange(12) % 3, "prepare": same}
    return Split(**(usual | changes))


def refused(benchmark: Any) -> str:
    with pytest.raises(UserError) as caught:
        inspect_tasks(benchmark, "mine", CPU)
    line = str(caught.value)
    assert "\n" not in line
    return line.removeprefix("benchmark=mine: ")


RIGHT = torch.arange(12) % 3
TRAIN, TEST = "task 2 (odd), training data: ", "task 2 (odd), test data: "
NEEDED = "expected int64 of shape (12,) in 0..2"


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (RIGHT + 1, f"labels from 1 to 3; {NEEDED}: they seem to count from 1, so subtract 1"),
        (
            RIGHT + 3,
            f"labels from 3 to 5; {NEEDED}: labels count within each task, so subtract 3 if they count over all tasks",
        ),
        (RIGHT - 1, f"labels from -1 to 1; {NEEDED}, as num_classes=3"),
        (RIGHT * 2, f"labels from 0 to 4; {NEEDED}, as num_classes=3"),
        (RIGHT.float(), f"labels are float32 of shape (12,); {NEEDED}: use labels.long() if they are whole numbers"),
        (RIGHT > 0, f"labels are bool of shape (12,); {NEEDED}: use labels.long() if they are whole numbers"),
        (RIGHT + 0j, f"labels are complex64 of shape (12,); {NEEDED}"),
        (RIGHT[:, None], f"labels are int64 of shape (12, 1); {NEEDED}: use labels.squeeze(1)"),
        (
            torch.eye(3)[RIGHT],
            f"labels are float32 of shape (12, 3); {NEEDED}: use labels.argmax(1) if they are one-hot",
        ),
        (torch.zeros(12, 2, 2), f"labels are float32 of shape (12, 2, 2); {NEEDED}: use labels.long() if they"),
        (torch.tensor(1), "labels has no dimensions; expected one entry for each example"),
        (RIGHT.numpy(), "labels is a ndarray; expected a torch.Tensor; try torch.from_numpy(...)"),
        (RIGHT.tolist(), "labels is a list; expected a torch.Tensor"),
        (RIGHT[:0], "it is empty; expected at least one example"),
        (RIGHT[:7], "12 images and 7 labels; expected a label for each image"),
        (RIGHT.to("meta"), "labels is on meta; expected cpu, the device that the constructor was given"),
    ],
)
def test_labels_that_are_not_those_of_the_task(wrong: Any, line: str) -> None:
    assert refused(mine(train=split(labels=wrong))).startswith(TRAIN + line)


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64])
def test_integers_of_any_kind_are_labels(kind: torch.dtype) -> None:
    benchmark = mine(train=split(labels=RIGHT.to(kind)))
    inspect_tasks(benchmark, "mine", CPU)
    assert benchmark.tasks[1].train.labels.dtype == torch.int64
    assert torch.equal(benchmark.tasks[1].train.labels, RIGHT)


def test_what_is_right_stays_the_same_objects() -> None:
    benchmark = blobs()
    before = [(task.train, task.test) for task in benchmark.tasks]
    inspect_tasks(benchmark, "mine", CPU)
    after = [(task.train, task.test) for task in benchmark.tasks]
    assert all(one is other for pair in zip(before, after, strict=True) for one, other in zip(*pair, strict=True))


NAN = torch.rand(12, 2).index_put((torch.tensor([5, 9]), torch.tensor([0, 1])), torch.tensor(torch.nan))


def blank_is_nan(x: Tensor) -> Tensor:
    """Each input by its own size."""
    return x / x.norm(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (None, "it is None; expected a Split"),
        (split(images=np.zeros((12, 2))), "images is a ndarray; expected a torch.Tensor"),
        (split(images=torch.rand(12, 3)), "prepare gives float32 of shape (2, 3); expected float32 of shape (2, 2)"),
        (split(images=torch.rand(12)), "prepare gives float32 of shape (2,); expected float32 of shape (2, 2), as in_"),
        (split(images=torch.rand(12, 2).double()), "prepare gives float64 of shape (2, 2); expected float32 of shape "
         "(2, 2): use .float()"),
        (split(images=torch.rand(12, 2).half()), "prepare gives float16 of shape (2, 2); expected float32"),
        (split(images=torch.ones(12, 2).byte()), "prepare gives uint8 of shape (2, 2); expected float32 of shape (2, 2)"
         ": use images.float() / 255"),
        (split(images=NAN), "2 images of 12 hold NaN or infinity, the first is number 5 from 0; expected finite"),
        (split(images=torch.rand(12, 2) / 0), "12 images of 12 hold NaN or infinity"),
        (split(images=torch.arange(24.0).view(12, 2).index_fill(0, torch.tensor([7]), 0), prepare=blank_is_nan),
         "1 prepared inputs of 12 hold NaN or infinity, the first is number 7 from 0; expected finite numbers"),
        (split(prepare=lambda x: x / 0), "prepare gives numbers that are NaN or infinite; expected finite ones"),
        (split(prepare=lambda x: x.numpy()), "prepare gives a ndarray; expected a torch.Tensor"),
        (split(prepare=lambda x: x[5]), "prepare raises IndexError: index 5 is out of bounds"),
        (split(prepare=lambda x: x.div_(2)), "prepare changes the images themselves; expected new ones"),
        (split(rows=torch.arange(7)), "7 rows and 12 labels; expected a label for each row"),
        (split(rows=torch.arange(12) + 1), "rows from 1 to 12; expected 0 to 11, as there are 12 images"),
        (split(rows=torch.arange(12) - 1), "rows from -1 to 10; expected 0 to 11"),
        (split(rows=torch.ones(12) > 0), "rows are bool of shape (12,); expected int64 of shape (n,)"),
        (split(augment=lambda x, draws: x[:, :1]), "after augment, prepare gives float32 of shape (2, 1); expected"),
        (split(augment=lambda x, draws: x.double()), "after augment, prepare gives float64 of shape (2, 2); expected"),
        (split(augment=lambda x: x), "augment raises TypeError: "),
    ],
)  # fmt: skip
def test_inputs_that_no_network_can_learn(part: Any, line: str) -> None:
    assert refused(mine(test=part)).startswith(TEST + line)
    assert refused(mine(train=part)).startswith(TRAIN + line)
    if part is not None:
        assert refused(mine(validation=part)).startswith("task 2 (odd), validation data: " + line)


def test_rows_that_are_not_used_may_be_anything() -> None:
    rows = torch.tensor([0, 1, 2, 3, 4, 6, 7, 8])
    inspect_tasks(mine(train=split(images=NAN, rows=rows, labels=rows % 3)), "mine", CPU)


def test_changed_images_are_put_back() -> None:
    part = split(prepare=lambda x: x.div_(2))
    before = part.images.clone()
    refused(mine(train=part))
    assert torch.equal(part.images, before)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_single_example_is_enough(part: str) -> None:
    inspect_tasks(mine(**{part: split(images=torch.rand(1, 2), labels=torch.zeros(1).long())}), "mine", CPU)


def grey(x: Tensor) -> Tensor:
    return x.view(-1, 1, 1, 2)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"id": 2}, "task 2: its id is 2; expected 1: ids that count from 0 in the order of the tasks"),
        ({"id": "1"}, "task 2: its id is '1'; expected 1"),
        ({"id": True}, "task 2: its id is True; expected 1"),
        ({"num_classes": 0}, "task 2 (odd): num_classes is 0; expected a whole number from 1 on"),
        ({"num_classes": 3.0}, "task 2 (odd): num_classes is 3.0; expected a whole number"),
        ({"num_classes": 2}, "task 2 (odd), training data: labels from 0 to 2; expected int64 of shape (12,) in 0..1"),
        ({"class_names": ["a", "b"]}, "task 2 (odd): 2 class_names and num_classes=3; expected a name for each class"),
        ({"class_names": list("abcd")}, "task 2 (odd): 4 class_names and num_classes=3; expected a name for each"),
        ({"class_names": []}, "task 2 (odd): 0 class_names and num_classes=3; expected a name for each class"),
        ({"class_names": list("aba")}, "task 2 (odd): 'a' is twice in class_names; expected a name of its own"),
        ({"class_names": ["a", " ", "b"]}, "task 2 (odd): ' ' in class_names; expected some text"),
        ({"class_names": [0, 1, 2]}, "task 2 (odd): 0 in class_names; expected some text"),
        ({"class_names": "abc"}, "task 2 (odd): class_names is a str; expected a list of strings, or None"),
        ({"class_names": iter("abc")}, "task 2 (odd): class_names is a str_"),
        ({"picture": same}, "task 2 (odd): picture gives float32 of shape (2, 2); expected images of shape (2, 1 or 3"),
        ({"picture": lambda x: grey(x).byte()}, "task 2 (odd): picture gives uint8 of shape (2, 1, 1, 2); expected"),
        ({"picture": lambda x: x.nope}, "task 2 (odd): picture raises AttributeError: 'Tensor' object has no attr"),
    ],
)
def test_facts_of_a_task_that_do_not_fit(changes: dict[str, Any], line: str) -> None:
    assert refused(mine(**changes)).startswith(line)


def test_names_and_pictures_that_fit() -> None:
    inspect_tasks(mine(class_names=("a", "b", "c"), picture=grey), "mine", CPU)


def altered(change: Callable[[Any], None]) -> Benchmark:
    benchmark = blobs()
    change(benchmark)
    return benchmark


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda b: setattr(b, "tasks", []), "GaussianBlobs.tasks is empty; expected at least one task"),
        (lambda b: delattr(b, "tasks"), "GaussianBlobs.tasks is None; expected a list of tasks"),
        (lambda b: setattr(b, "tasks", iter(b.tasks)), "GaussianBlobs.tasks is a list_iterator; expected a list"),
        (lambda b: b.tasks.reverse(), "task 1: its id is 2; expected 0"),
        (lambda b: b.tasks.insert(1, None), "task 2: it is None; expected a Task"),
        (lambda b: setattr(b, "tasks", [replace(b.tasks[0], name="")]), "task 1: its name is ''; expected some text"),
        (lambda b: setattr(b, "in_shape", 2), "GaussianBlobs.in_shape is 2; expected the shape of one input"),
        (lambda b: setattr(b, "in_shape", (2, 0)), "GaussianBlobs.in_shape is (2, 0); expected the shape of one"),
        (lambda b: setattr(b, "in_shape", (3,)), "task 1 (blobs 0), training data: prepare gives float32 of shape"),
        (lambda b: setattr(b, "data", "mine"), "GaussianBlobs.data is a str; expected a DataIdentity"),
    ],
)  # fmt: skip
def test_facts_of_a_benchmark_that_do_not_fit(change: Callable[[Any], None], line: str) -> None:
    assert refused(altered(change)).startswith(line)


def test_images_that_tasks_share_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = inspection._not_finite
    monkeypatch.setattr(inspection, "_not_finite", lambda numbers: seen.append(len(numbers)) or real(numbers))
    images = torch.rand(12, 2)
    shared = [Task(t, f"task {t}", split(images=images), split(images=images), 3) for t in range(5)]
    benchmark = blobs()
    benchmark.tasks = shared
    inspect_tasks(benchmark, "mine", CPU)
    assert seen == [12, 12], "once as they are, once as inputs"


def test_many_inputs_are_looked_at_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def noting(x: Tensor) -> Tensor:
        seen.extend(x[:, 0].int().tolist())
        return x

    monkeypatch.setattr(inspection, "LOOKED_AT", 500)
    images = torch.arange(1000.0)[:, None].expand(1000, 2).contiguous()
    benchmark = blobs(num_tasks=1)
    part = Split(images, torch.zeros(1000).long(), noting)
    benchmark.tasks = [replace(benchmark.tasks[0], train=part, test=part)]
    inspect_tasks(benchmark, "mine", CPU)
    assert seen == [0, 1, 0, 1, *range(0, 1000, 4)]


def test_no_random_stream_is_moved() -> None:
    drawing = split(
        prepare=lambda x: x + torch.rand(()), augment=lambda x, draws: x + torch.randn(x.shape, generator=draws)
    )
    before = torch.get_rng_state()
    inspect_tasks(mine(train=drawing), "mine", CPU)
    assert torch.equal(before, torch.get_rng_state())

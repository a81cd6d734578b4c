"""Checks of all tasks of a benchmark before training, so that errors in them are reported at once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil, prod
from typing import Any

import torch
from torch import Tensor

from hnet_cl.benchmarks.base import Benchmark, Split, Task
from hnet_cl.core.checks import attempt, expect, kind_of, shape_of
from hnet_cl.core.errors import UserError
from hnet_cl.core.scores import NMSE
from hnet_cl.core.seeding import Stream, seeded, stream
from hnet_cl.datasets.identity import DataIdentity

LOOKED_AT = 100_000_000  # numbers in the inputs that are checked, evenly spread over all examples; about half a second
AT_A_TIME = 250_000  # numbers; as many as fit into a CPU's cache
EXAMPLES = slice(0, 2)  # of every split; a slice, as in evaluation
PARTS = {"train": "training data", "test": "test data", "validation": "validation data"}


def inspect_tasks(benchmark: Benchmark, name: str, device: torch.device) -> None:
    """Checks that the benchmark called `name` conforms to `Benchmark`, `Task` and `Split`, with tensors on the device.

    Checks all labels and raw inputs, two network inputs of every split, and as many other network inputs as half a
    second allows. Labels of other integer types are converted to int64; nothing else is changed.

    Raises:
        UserError: the message names the task, what was found and what is expected.
    """
    where = f"benchmark={name}"
    _check_whole(benchmark, where)
    in_shape = tuple(benchmark.in_shape)
    seen = _Finite()
    with seeded(0, Stream.INSPECTION):  # for user code such as `prepare` that draws from global generators
        tasks = [_checked(task, number, where, device) for number, task in enumerate(benchmark.tasks)]
        splits = [(at, split) for task in tasks for at, split in _splits(task, where)]
        for at, split in splits:
            seen.check(split, at)
            _check_inputs(split, at, in_shape)
            if benchmark.score is NMSE:
                varied = bool((split.labels.amin(0) < split.labels.amax(0)).all())
                expect(varied, at, "a number is the same in all labels, and NMSE divides by its variance", "others")
        for task in tasks:
            _check_picture(task, f"{where}: {_called(task)}")
        _check_prepared(splits, prod(in_shape))
    benchmark.tasks = tasks


def _called(task: Task) -> str:
    return f"task {task.id + 1} ({task.name})"


def _splits(task: Task, where: str) -> Iterator[tuple[str, Split]]:
    for part, called in PARTS.items():
        if (split := getattr(task, part)) is not None:
            yield f"{where}: {_called(task)}, {called}", split


def _check_whole(benchmark: Any, where: str) -> None:
    """Checks the attributes of the benchmark itself."""
    tasks: Any = getattr(benchmark, "tasks", None)
    in_shape: Any = getattr(benchmark, "in_shape", None)
    kind = type(benchmark).__name__
    expect(isinstance(tasks, Sequence), where, f"{kind}.tasks is {kind_of(tasks)}", "a list of tasks")
    expect(len(tasks) > 0, where, f"{kind}.tasks is empty", "at least one task")
    sizes = isinstance(in_shape, Sequence) and all(_is_count(size) for size in in_shape)
    expect(sizes, where, f"{kind}.in_shape is {in_shape!r}", "the shape of one input, such as (1, 28, 28)")
    wanted, kinds = benchmark.score.kind, {getattr(task, "kind", benchmark.score.kind) for task in tasks}
    expect(kinds == {wanted}, where, f"tasks of kind {', '.join(kinds)}", f"{wanted}, as {kind}.score says")
    data = getattr(benchmark, "data", None)
    expect(isinstance(data, DataIdentity), where, f"{kind}.data is {kind_of(data)}", "a DataIdentity")


def _checked(task: Task, number: int, where: str, device: torch.device) -> Task:
    """Checks a task, except for its inputs, and returns it with int64 labels, or float32 ones in regression."""
    at = f"{where}: task {number + 1}"
    expect(isinstance(task, Task), at, f"it is {kind_of(task)}", "a Task")
    ids = "ids that count from 0 in the order of the tasks"
    expect(_is_whole(task.id) and task.id == number, at, f"its id is {task.id!r}", f"{number}: {ids}")
    named = isinstance(task.name, str) and task.name.strip() != ""
    expect(named, at, f"its name is {task.name!r}", "some text")
    at = f"{where}: {_called(task)}"
    expect(_is_count(task.num_classes), at, f"num_classes is {task.num_classes!r}", "a whole number from 1 on")
    _check_class_names(task, at)
    changes: dict[str, Any] = {}
    for part, called in PARTS.items():
        split = getattr(task, part)
        if split is not None or part != "validation":
            _check_split(split, f"{at}, {called}", device)
            with_labels = _with_labels if task.kind == "classification" else _with_targets
            changes[part] = with_labels(split, f"{at}, {called}", task.num_classes)
    return replace(task, **changes)


def _check_class_names(task: Task, at: str) -> None:
    names: Any = task.class_names
    if names is None:
        return
    listed = isinstance(names, Sequence) and not isinstance(names, str)
    expect(listed, at, f"class_names is {kind_of(names)}", "a list of strings, or None")
    count = task.num_classes
    expect(len(names) == count, at, f"{len(names)} class_names and num_classes={count}", "a name for each class")
    for name in names:
        expect(isinstance(name, str) and name.strip() != "", at, f"{name!r} in class_names", "some text")
        expect(
            list(names).count(name) == 1, at, f"{name!r} is twice in class_names", "a name of its own for each class"
        )


def _check_split(split: Any, at: str, device: torch.device) -> None:
    """Checks types, sizes and devices of images, rows and labels."""
    expect(isinstance(split, Split), at, f"it is {kind_of(split)}", "a Split")
    parts = {"images": split.images, "labels": split.labels}
    parts |= {} if split.rows is None else {"rows": split.rows}
    for name, part in parts.items():
        expect(isinstance(part, Tensor), at, f"{name} is {kind_of(part)}", "a torch.Tensor; try torch.from_numpy(...)")
        expect(part.dim() > 0, at, f"{name} has no dimensions", "one entry for each example")
        on = part.device.type
        expect(on == device.type, at, f"{name} is on {on}", f"{device.type}, the device that the constructor was given")
    expect(len(split.labels) > 0, at, "it is empty", "at least one example")
    rows = split.rows
    if rows is None:
        sizes = f"{len(split.images)} images and {len(split.labels)} labels"
        expect(len(split.images) == len(split.labels), at, sizes, "a label for each image, or rows that select images")
        return
    right = rows.dtype == torch.int64 and rows.dim() == 1
    expect(right, at, f"rows are {shape_of(rows)}", "int64 of shape (n,), the numbers of images")
    sizes = f"{len(rows)} rows and {len(split.labels)} labels"
    expect(len(rows) == len(split.labels), at, sizes, "a label for each row")
    low, high = (number.item() for number in rows.aminmax())
    inside = low >= 0 and high < len(split.images)
    expect(
        inside,
        at,
        f"rows from {low} to {high}",
        f"0 to {len(split.images) - 1}, as there are {len(split.images)} images",
    )


def _with_labels(split: Split, at: str, classes: int) -> Split:
    """Returns the split with int64 labels, after checking that they are integers in 0..`classes` - 1."""
    labels = split.labels
    expected = f"int64 of shape ({len(labels)},) in 0..{classes - 1}"
    if labels.dim() == 2 and labels.shape[1] == 1:
        expected += ": use labels.squeeze(1)"
    elif labels.dim() == 2 and labels.shape[1] == classes:
        expected += ": use labels.argmax(1) if they are one-hot"
    elif labels.is_floating_point() or labels.dtype == torch.bool:
        expected += ": use labels.long() if they are whole numbers"
    right = labels.dim() == 1 and not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    expect(right, at, f"labels are {shape_of(labels)}", expected)
    labels = labels.long()
    low, high = (int(number) for number in labels.aminmax())
    if low == 1 and high == classes:
        expected += ": they seem to count from 1, so subtract 1"
    elif low > 0 and high - low < classes:
        expected += f": labels count within each task, so subtract {low} if they count over all tasks"
    else:
        expected += f", as num_classes={classes}"
    expect(low >= 0 and high < classes, at, f"labels from {low} to {high}", expected)
    return split if split.labels is labels else replace(split, labels=labels)


def _with_targets(split: Split, at: str, numbers: int) -> Split:
    """Returns the split with float32 labels, after checking that they are finite numbers (n, `numbers`)."""
    labels = split.labels
    right = labels.is_floating_point() and labels.shape == (len(labels), numbers)
    expect(right, at, f"labels are {shape_of(labels)}", f"float32 of shape ({len(labels)}, {numbers})")
    labels = labels.float()
    _none_wrong(_not_finite(labels), torch.arange(len(labels)), at, "labels")
    return split if split.labels is labels else replace(split, labels=labels)


def _check_inputs(split: Split, at: str, in_shape: tuple[int, ...]) -> None:
    """Checks the network inputs of two examples, without augmentation and, if there is any, with it."""
    before = split.images[EXAMPLES].clone()
    inputs = attempt(at, "prepare", split.batch, EXAMPLES)[0]
    _check_form(inputs, at, "prepare gives", min(2, len(split)), in_shape)
    if not torch.equal(split.images[EXAMPLES], before):
        split.images[EXAMPLES] = before
        raise UserError(f"{at}: prepare changes the images themselves; expected new ones: use operations without _")
    if split.augment:
        index = torch.arange(len(inputs), device=split.labels.device)
        varied = attempt(at, "augment", split.batch, index, stream(0, Stream.INSPECTION))[0]
        _check_form(varied, at, "after augment, prepare gives", len(inputs), in_shape)


def _check_form(inputs: Any, at: str, what: str, number: int, in_shape: tuple[int, ...]) -> None:
    expect(isinstance(inputs, Tensor), at, f"{what} {kind_of(inputs)}", "a torch.Tensor")
    wanted = (number, *in_shape)
    expected = f"float32 of shape {wanted}"
    if inputs.shape != wanted:
        expected += f", as in_shape={in_shape}"
    elif inputs.dtype == torch.uint8:
        expected += ": use images.float() / 255"
    else:
        expected += ": use .float()"
    expect(inputs.dtype == torch.float32 and inputs.shape == wanted, at, f"{what} {shape_of(inputs)}", expected)
    finite = bool(inputs.isfinite().all())
    expect(finite, at, f"{what} numbers that are NaN or infinite", "finite ones")


class _Finite:
    """A check that raw inputs are finite; images shared between splits are checked only once."""

    def __init__(self) -> None:
        self._wrong: dict[int, Tensor] = {}

    def check(self, split: Split, at: str) -> None:
        """Raises a UserError if an image of the split contains NaN or infinity."""
        images = split.images
        if not images.is_floating_point():
            return
        if id(images) not in self._wrong:
            at_a_time = max(1, AT_A_TIME // max(1, prod(images.shape[1:])))
            self._wrong[id(images)] = torch.cat([_not_finite(part) for part in images.split(at_a_time)])
        wrong = self._wrong[id(images)] if split.rows is None else self._wrong[id(images)][split.rows]
        _none_wrong(wrong, torch.arange(len(wrong)), at, "images")


def _not_finite(numbers: Tensor) -> Tensor:
    """Returns a mask (n,) of the entries of `numbers` (n, ...) that contain NaN or infinity."""
    if bool(numbers.sum().isfinite()):  # takes a tenth of the time of a check of each number
        return torch.zeros(len(numbers), dtype=torch.bool, device=numbers.device)
    return ~numbers.reshape(len(numbers), -1).isfinite().all(1)


def _none_wrong(wrong: Tensor, index: Tensor, at: str, what: str) -> None:
    """Raises a UserError if the mask `wrong` (n,) marks any of the examples `index` (n,)."""
    if number := int(wrong.sum()):
        first = int(index[wrong.cpu().nonzero()[0, 0]])
        found = f"{number} {what} of {len(wrong)} hold NaN or infinity, the first is number {first} from 0"
        expect(False, at, found, "finite numbers")


def _check_prepared(splits: Sequence[tuple[str, Split]], size: int) -> None:
    """Checks that network inputs, of `size` numbers each, are finite; only some if they exceed `LOOKED_AT` numbers."""
    distinct = {(id(split.images), id(split.rows), id(split.prepare)): (at, split) for at, split in splits}
    total = sum(len(split) for _, split in distinct.values()) * size
    step = max(1, ceil(total / LOOKED_AT))
    for at, split in distinct.values():
        index = torch.arange(0, len(split), step, device=split.labels.device)
        parts = index.split(max(1, AT_A_TIME // size))
        wrong = [_not_finite(attempt(at, "prepare", split.batch, part)[0]) for part in parts]
        _none_wrong(torch.cat(wrong), index.cpu(), at, "prepared inputs")


def _check_picture(task: Task, at: str) -> None:
    if task.picture is None:
        return
    inputs, _ = task.test.batch(EXAMPLES)
    images = attempt(at, "picture", task.picture, inputs)
    right = (
        isinstance(images, Tensor) and images.dim() == 4 and images.shape[:2] in ((len(inputs), 1), (len(inputs), 3))
    )
    found = shape_of(images) if isinstance(images, Tensor) else kind_of(images)
    expected = f"images of shape ({len(inputs)}, 1 or 3, height, width) in 0..1"
    expect(right and images.is_floating_point(), at, f"picture gives {found}", expected)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_whole(value) and value > 0

"""Split CIFAR: which classes a task has, where its images come from, and what is done to them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_images import write_cifar

from hnet_cl.benchmarks.base import independent_examples
from hnet_cl.benchmarks.split import SplitClasses
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.cifar import CIFAR
from hnet_cl.datasets.images import IMAGENET

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "name": "split_cifar",
    "num_tasks": 3,
    "classes_per_task": 10,
    "shuffle_classes": False,
    "seed": 42,
    "tasks": None,
    "keep_remainder": False,
}
DATA: dict[str, Any] = {
    "name": "cifar10_100",
    "sets": ["cifar10", "cifar100"],
    "verify": "none",
    "augment": "none",
    "normalize": False,
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 and 25 classes of CIFAR-100."""
    folder = tmp_path_factory.mktemp("data")
    write_cifar(folder, classes=25)
    return folder


def cifar(data_dir: Path, **changes: Any) -> CIFAR:
    return CIFAR(CIFAR.Settings(**{key: changes.get(key, value) for key, value in DATA.items()}), data_dir)


def make(data_dir: Path, **changes: Any) -> SplitClasses:
    settings = SplitClasses.Settings(**{key: changes.get(key, value) for key, value in SETTINGS.items()})
    return SplitClasses(settings, cifar(data_dir, **changes), CPU)


def test_cifar10_comes_first_then_tens_of_cifar100(data_dir: Path) -> None:
    benchmark = make(data_dir)
    assert [task.name for task in benchmark.tasks] == ["cifar10 0-9", "cifar100 0-9", "cifar100 10-19"]
    assert [task.id for task in benchmark.tasks] == [0, 1, 2] and benchmark.in_shape == (3, 32, 32)
    for number, task in enumerate(benchmark.tasks):
        for split, per_class in ((task.train, 4), (task.test, 2)):
            inputs, labels = split.batch(slice(None))
            assert inputs.shape == (10 * per_class, 3, 32, 32) and labels.bincount().tolist() == [per_class] * 10
            colours = (inputs[:, :, 0, 0] * 255).round().int()
            assert (inputs == inputs[:, :, :1, :1]).all()
            assert (colours[:, 2] == (number > 0)).all(), "the data set"
            assert torch.equal(colours[:, 1] - labels, torch.full_like(labels, max(0, number - 1) * 10))
            assert (colours[:, 0].diff() > 0).all(), "in their order in the data"
    assert benchmark.data.name == "cifar10 + cifar100 (25 classes)" and benchmark.data.source == "files + files"
    assert independent_examples(benchmark.tasks) == pytest.approx([20, 40, 60])


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"num_tasks": None}, ["cifar10 0-9", "cifar100 0-9", "cifar100 10-19"]),
        ({"num_tasks": None, "sets": ["cifar100"]}, ["cifar100 0-9", "cifar100 10-19"]),
        (
            {"num_tasks": 5, "sets": ["cifar10"], "classes_per_task": 2},
            [f"cifar10 {c}-{c + 1}" for c in range(0, 10, 2)],
        ),
        ({"num_tasks": 3, "classes_per_task": 4}, ["cifar10 0-3", "cifar10 4-7", "cifar100 0-3"]),
    ],
)
def test_any_classes_can_make_tasks(changes: dict[str, Any], names: list[str], data_dir: Path) -> None:
    benchmark = make(data_dir, **changes)
    assert [task.name for task in benchmark.tasks] == names
    assert set(benchmark.class_counts) == {changes.get("classes_per_task", 10)}


@pytest.mark.parametrize("changes", [{"num_tasks": 4}, {"classes_per_task": 30, "num_tasks": None}])
def test_too_few_classes(changes: dict[str, Any], data_dir: Path) -> None:
    key, value = ("num_tasks", 4) if changes["num_tasks"] else ("classes_per_task", 30)
    line = rf"^{key}={value}: cifar10 \+ cifar100 \(25 classes\) has classes for "
    with pytest.raises(UserError, match=line):
        make(data_dir, **changes)


def test_only_the_data_that_are_asked_for_are_needed(tmp_path: Path) -> None:
    write_cifar(tmp_path, classes=10)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"")
    assert len(make(tmp_path, sets=["cifar100"], num_tasks=None).tasks) == 1
    with pytest.raises(UserError, match="test_batch"):
        make(tmp_path, num_tasks=None)


def test_training_images_are_augmented_and_all_are_normalised(data_dir: Path) -> None:
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in IMAGENET)
    plain, varied = make(data_dir).tasks[1], make(data_dir, augment="flip_and_crop", normalize=True).tasks[1]
    for before, after in ((plain.train, varied.train), (plain.test, varied.test)):
        assert torch.allclose(after.batch(slice(None))[0], (before.batch(slice(None))[0] - mean) / std, atol=1e-6)
    inputs, _ = varied.train.batch(slice(None), torch.Generator().manual_seed(0))
    black = torch.isclose(inputs, -mean / std, atol=1e-6).all(1)
    assert black.any((1, 2)).float().mean() > 0.9, "most crops reach over the border"
    assert varied.test.augment is None


def test_the_papers_six_tasks(full_cifar: Path) -> None:
    benchmark = make(full_cifar, num_tasks=6, verify="counts")
    assert [len(task.train) for task in benchmark.tasks] == [50_000] + [5000] * 5
    assert [len(task.test) for task in benchmark.tasks] == [10_000] + [1000] * 5
    assert [task.majority for task in benchmark.tasks] == pytest.approx([0.1] * 6)


@pytest.mark.parametrize("normalize", [False, True])
def test_images_become_the_inputs_of_the_task(normalize: bool, data_dir: Path) -> None:
    task = make(data_dir, normalize=normalize).tasks[2]
    (kind,) = SplitClasses.image_kinds(SplitClasses.Settings(**SETTINGS), cifar(data_dir, normalize=normalize), None)
    assert (kind.channels, kind.height, kind.width, kind.of_task) == (3, 32, 32, False)
    assert task.test.rows is not None
    assert torch.equal(kind.encode(task.test.images[task.test.rows]), task.test.batch(slice(None))[0])
    assert task.classes == [f"cifar100 {number}" for number in range(10, 20)]
    assert task.picture is not None
    shown = task.picture(task.test.batch(slice(None))[0]) * 255
    assert torch.allclose(shown, task.test.images[task.test.rows].float(), atol=1e-3)

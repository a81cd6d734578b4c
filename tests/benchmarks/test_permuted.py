"""Permuted MNIST: permutations move pixels and do nothing else."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from hnet_cl.benchmarks.permuted import PermutedPixels, PermutePixels
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import Dataset
from hnet_cl.datasets.blobs import GaussianBlobs
from hnet_cl.datasets.images import Scale, scale_pixels
from hnet_cl.datasets.mnist import MNIST, load_mnist

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "name": "pmnist",
    "num_tasks": 3,
    "padding": 2,
    "permute_first": False,
    "seed": 42,
}


def digits(source: str = "embedded", data_dir: Path = Path("unused")) -> MNIST:
    return MNIST(MNIST.Settings(name="mnist", source=source), data_dir)


def make(dataset: Dataset | None = None, **changes: Any) -> PermutedPixels:
    return PermutedPixels(PermutedPixels.Settings(**(SETTINGS | changes)), dataset or digits(), CPU)


def order(benchmark: PermutedPixels, task: int) -> Tensor:
    prepare = benchmark.tasks[task].train.prepare
    assert isinstance(prepare, PermutePixels)
    return prepare.order


@pytest.fixture(scope="module")
def benchmark() -> PermutedPixels:
    return make()


@given(side=st.integers(1, 8), batch=st.integers(0, 4), seed=st.integers(0, 10_000))
def test_prepare_only_moves_pixels(side: int, batch: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (batch, 1, side, side), generator=generator, dtype=torch.uint8)
    permutation = torch.randperm(side * side, generator=generator)
    inputs = PermutePixels(permutation, Scale())(images)
    assert inputs.shape == images.shape and inputs.dtype == torch.float32
    restored = inputs.flatten(1)[:, permutation.argsort()]
    assert torch.equal(restored, scale_pixels(images).flatten(1))
    assert torch.equal(PermutePixels(permutation, Scale()).undo(inputs), scale_pixels(images))


def test_pictures_of_every_task_are_the_same_digits(benchmark: PermutedPixels) -> None:
    pictures = [task.picture(task.test.batch(slice(0, 9))[0]) for task in benchmark.tasks if task.picture]
    assert len(pictures) == 3 and torch.equal(pictures[0], pictures[1]) and torch.equal(pictures[0], pictures[2])


def test_shapes_and_labels(benchmark: PermutedPixels) -> None:
    assert benchmark.in_shape == (1, 32, 32)
    assert benchmark.class_counts == (10, 10, 10)
    assert benchmark.data.name == "mnist-5k"
    for number, task in enumerate(benchmark.tasks):
        assert (task.id, len(task.train), len(task.test)) == (number, 4000, 1000)
        inputs, labels = task.train.batch(torch.tensor([0, 400, 3999]))
        assert inputs.shape == (3, 1, 32, 32) and inputs.dtype == torch.float32
        assert labels.tolist() == [0, 1, 9]
        assert task.majority == pytest.approx(0.1)
        assert task.classes == list("0123456789")
    assert [task.name for task in benchmark.tasks] == ["not permuted", "permutation 1", "permutation 2"]


def test_first_task_of_the_paper_is_the_padded_image(benchmark: PermutedPixels) -> None:
    inputs, _ = benchmark.tasks[0].test.batch(slice(0, 1000))
    images = load_mnist("embedded", Path("unused")).test.images
    assert torch.equal(inputs[:, :, 2:-2, 2:-2], scale_pixels(images))
    inputs[:, :, 2:-2, 2:-2] = 0
    assert inputs.count_nonzero() == 0


def test_every_order_is_a_bijection_and_differs(benchmark: PermutedPixels) -> None:
    orders = [order(benchmark, task) for task in range(3)]
    for one in orders:
        assert one.sort().values.tolist() == list(range(1024))
    assert not torch.equal(orders[1], orders[2])
    assert not torch.equal(orders[0], orders[1])


def test_train_and_test_share_the_order(benchmark: PermutedPixels) -> None:
    for task in benchmark.tasks:
        assert task.train.prepare is task.test.prepare


def test_images_are_stored_once(benchmark: PermutedPixels) -> None:
    first, *others = benchmark.tasks
    assert first.train.images.dtype == torch.uint8
    assert all(task.train.images is first.train.images for task in others)
    assert all(task.test.labels is first.test.labels for task in others)


def test_order_does_not_depend_on_the_number_of_tasks(benchmark: PermutedPixels) -> None:
    longer = make(num_tasks=6)
    for task in range(3):
        assert torch.equal(order(benchmark, task), order(longer, task))


def test_order_depends_on_the_seed(benchmark: PermutedPixels) -> None:
    assert not torch.equal(order(benchmark, 1), order(make(seed=43), 1))
    assert order(benchmark, 1)[:4].tolist() == [399, 743, 23, 874]  # fixed for good


def test_permute_first(benchmark: PermutedPixels) -> None:
    permuted = make(permute_first=True)
    assert not torch.equal(order(permuted, 0), torch.arange(1024))
    assert torch.equal(order(permuted, 1), order(benchmark, 1))
    assert permuted.tasks[0].name == "permutation 0"


def test_no_padding() -> None:
    benchmark = make(padding=0, num_tasks=2)
    assert benchmark.in_shape == (1, 28, 28)
    assert benchmark.tasks[1].test.batch(slice(0, 2))[0].shape == (2, 1, 28, 28)


@pytest.mark.parametrize("padding", [0, 2])
def test_digits_become_the_inputs_of_their_task(padding: int) -> None:
    settings = PermutedPixels.Settings(**(SETTINGS | {"padding": padding}))
    images = load_mnist("embedded", Path("unused")).test.images
    for task in make(padding=padding).tasks:
        kind, _ = PermutedPixels.image_kinds(settings, digits(), task.id)
        assert (kind.channels, kind.height, kind.width, kind.of_task) == (1, 28, 28, True)
        assert torch.equal(kind.encode(images), task.test.batch(slice(0, 1000))[0])


def test_images_that_are_permuted_already_stay_as_they_are(benchmark: PermutedPixels) -> None:
    settings = PermutedPixels.Settings(**SETTINGS)
    images = torch.randint(256, (5, 1, 32, 32), dtype=torch.uint8)
    (_, told), (untold,) = (PermutedPixels.image_kinds(settings, digits(), task) for task in (1, None))
    for kind in (told, untold):
        assert (kind.height, kind.width, kind.of_task) == (32, 32, False)
        assert torch.equal(kind.encode(images), images / 255)


def test_full_mnist(full_data: Path) -> None:
    benchmark = make(digits("full", full_data))
    assert (len(benchmark.tasks[1].train), len(benchmark.tasks[1].test)) == (60_000, 10_000)
    assert benchmark.tasks[1].majority == pytest.approx(0.1135)


@pytest.mark.parametrize(
    "change",
    [
        {"num_tasks": 0},
        {"num_tasks": 2.0},
        {"padding": -1},
        {"permute_first": 0},
        {"extra": 1},
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        PermutedPixels.Settings(**(SETTINGS | change))


def points(**changes: Any) -> GaussianBlobs:
    sizes: dict[str, Any] = {"num_classes": 3, "train_per_class": 4, "test_per_class": 2, "spread": 0.1, "seed": 1}
    return GaussianBlobs(GaussianBlobs.Settings(**({"name": "points"} | sizes | changes)), Path("unused"))


def test_coordinates_of_vectors_are_permuted() -> None:
    benchmark = make(points(), padding=0, num_tasks=20)
    assert benchmark.in_shape == (2,) and benchmark.class_counts == (3,) * 20
    plain = benchmark.tasks[0].test.batch(slice(None))[0]
    assert torch.equal(plain, points().load().test.images)
    seen = {tuple(order(benchmark, task).tolist()) for task in range(1, 20)}
    assert seen == {(0, 1), (1, 0)}
    for task in benchmark.tasks:
        inputs, labels = task.test.batch(slice(None))
        assert torch.equal(inputs, plain[:, order(benchmark, task.id)]) and labels.tolist() == [0, 0, 1, 1, 2, 2]
        assert task.picture is None
    assert PermutedPixels.image_kinds(PermutedPixels.Settings(**SETTINGS), points(), 1) == []


def test_vectors_cannot_be_padded() -> None:
    with pytest.raises(UserError, match=r"^padding=2: blobs has no images but inputs of shape \(2,\); give padding=0$"):
        make(points())


def test_channels_are_permuted_alike() -> None:
    images = torch.randint(256, (5, 3, 4, 6), dtype=torch.uint8)
    permutation = torch.randperm(24)
    inputs = PermutePixels(permutation, Scale())(images)
    for channel in range(3):
        expected = scale_pixels(images[:, channel]).flatten(1)[:, permutation]
        assert torch.equal(inputs[:, channel].flatten(1), expected)
    assert torch.equal(PermutePixels(permutation, Scale()).undo(inputs), scale_pixels(images))


@pytest.mark.parametrize(
    ("dataset", "padding", "size"), [(digits(), 2, 32**2 * 5000), (digits("full"), 0, 784 * 70_000)]
)
def test_memory_is_that_of_padded_images_and_orders(dataset: MNIST, padding: int, size: int) -> None:
    settings = PermutedPixels.Settings(**(SETTINGS | {"padding": padding}))
    assert PermutedPixels.memory(settings, dataset) == size + 3 * 8 * (28 + 2 * padding) ** 2

"""Rotated images: right angles only move pixels, other angles interpolate between them."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hnet_cl.benchmarks.rotated import Rotate, RotatedImages
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.blobs import GaussianBlobs
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import Normalize, Scale, scale_pixels

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "name": "rotated",
    "num_tasks": 4,
    "angles": None,
    "span": 360,
    "random": False,
    "padding": 0,
    "seed": 42,
}


class Noise(Dataset):
    """Ten random grey images of each of two classes."""

    image_shape = (1, 28, 28)

    def load(self) -> Data:
        images = torch.randint(256, (20, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        part = Part(images, torch.arange(2).repeat_interleave(10))
        return Data(part, part, ["a", "b"], DataIdentity("noise", "drawn", "0"))


def noise() -> Noise:
    return Noise(Noise.Settings(name="noise"), Path("unused"))


def make(dataset: Dataset | None = None, **changes: Any) -> RotatedImages:
    return RotatedImages(RotatedImages.Settings(**(SETTINGS | changes)), dataset or noise(), CPU)


def names(**changes: Any) -> list[str]:
    settings = RotatedImages.Settings(**(SETTINGS | changes))
    return [RotatedImages.called(settings, task) for task in range(settings.num_tasks)]


@given(side=st.integers(1, 9), quarters=st.integers(-4, 4), seed=st.integers(0, 1000))
def test_right_angles_move_pixels_and_change_none(side: int, quarters: int, seed: int) -> None:
    images = torch.randint(256, (2, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    turned = Rotate(90 * quarters, (3, side, side), Scale(), CPU)(images)
    assert torch.equal(turned, scale_pixels(images).rot90(quarters, (-2, -1)))


def test_a_quarter_turn_is_counter_clockwise() -> None:
    image = torch.zeros(1, 1, 3, 3)
    image[0, 0, 0, 1] = 1  # above the centre
    turned = Rotate(90, (1, 3, 3), Scale(), CPU)(image)
    assert turned[0, 0].nonzero().tolist() == [[1, 0]]  # on its left


@pytest.mark.parametrize("size", [(8, 8), (5, 9)])
def test_close_to_right_angles_the_interpolation_is_close_to_the_exact_map(size: tuple[int, int]) -> None:
    images = torch.rand(3, 1, *size)
    for angle in (0, 180) if size[0] != size[1] else (0, 90, 180, 270):
        exact, near = (Rotate(angle + off, (1, *size), Scale(), CPU)(images) for off in (0, 1e-4))
        assert 0 < (exact - near).abs().max() < 1e-3


def test_a_ring_stays_where_it_is() -> None:
    """Values that depend on the distance from the centre alone, smooth enough to interpolate."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 41),) * 2, indexing="ij")
    ring = torch.exp(-10 * (x**2 + y**2 - 0.25) ** 2)[None, None]
    turned = Rotate(33, (1, 41, 41), Scale(), CPU)(ring)
    assert (turned - ring)[..., 8:33, 8:33].abs().max() < 0.01


def test_a_point_goes_where_the_angle_takes_it() -> None:
    image = torch.zeros(1, 1, 41, 41)
    image[0, 0, 20, 30] = 1  # ten pixels to the right of the centre
    turned = Rotate(30, (1, 41, 41), Scale(), CPU)(image)[0, 0]
    rows, columns = torch.meshgrid(torch.arange(41.0), torch.arange(41.0), indexing="ij")
    middle = [((turned * places).sum() / turned.sum()).item() for places in (rows, columns)]
    assert middle == pytest.approx([20 - 10 * math.sin(math.pi / 6), 20 + 10 * math.cos(math.pi / 6)], abs=0.3)


def test_what_comes_from_outside_is_black_also_after_normalisation() -> None:
    encoder = Normalize.of((0.5, 0.4, 0.3), (0.2, 0.2, 0.2), CPU)
    rotate = Rotate(45, (3, 8, 8), encoder, CPU)
    images = torch.full((2, 3, 8, 8), 200, dtype=torch.uint8)
    turned = rotate(images)
    corner, middle = turned[0, :, 0, 0], turned[0, :, 4, 4]
    assert torch.allclose(corner, encoder(torch.zeros(1, 3, 1, 1, dtype=torch.uint8)).flatten())
    assert torch.allclose(middle, encoder(images)[0, :, 4, 4], atol=1e-5)
    assert torch.allclose(rotate.undo(turned)[0, :, 4, 4], torch.full((3,), 200 / 255), atol=1e-5)


def test_tasks_are_the_same_images_turned() -> None:
    benchmark = make()
    images = scale_pixels(noise().load().test.images)
    assert [task.name for task in benchmark.tasks] == ["0 degrees", "90 degrees", "180 degrees", "270 degrees"]
    assert benchmark.in_shape == (1, 28, 28) and benchmark.class_counts == (2,) * 4
    for quarters, task in enumerate(benchmark.tasks):
        inputs, labels = task.test.batch(slice(None))
        assert torch.equal(inputs, images.rot90(quarters, (-2, -1))) and labels[::10].tolist() == [0, 1]
        assert task.picture and torch.equal(task.picture(inputs), inputs)
        assert task.train.images is benchmark.tasks[0].train.images


def test_padding_makes_room_for_the_corners() -> None:
    task = make(padding=6, angles=[45.0], num_tasks=1).tasks[0]
    assert task.test.batch(slice(0, 2))[0].shape == (2, 1, 40, 40)
    (original, turned) = RotatedImages.image_kinds(
        RotatedImages.Settings(**(SETTINGS | {"padding": 6, "angles": [45.0], "num_tasks": 1})), noise(), 0
    )
    images = noise().load().test.images
    assert (original.height, turned.height, original.of_task) == (28, 40, True)
    assert torch.equal(original.encode(images), task.test.batch(slice(None))[0])


def test_angles() -> None:
    assert names(span=180, num_tasks=5) == [f"{angle} degrees" for angle in (0, 36, 72, 108, 144)]
    assert names(angles=[10, -20.5], num_tasks=2) == ["10 degrees", "-20.5 degrees"]
    drawn = names(random=True, span=180, num_tasks=20)
    assert len(set(drawn)) == 20 and all(0 <= float(name.split()[0]) < 180 for name in drawn)
    assert names(random=True, span=180, num_tasks=3) == drawn[:3]
    assert names(random=True, span=180, num_tasks=3, seed=43) != drawn[:3]
    assert names(seed=43) == names()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"angles": [1, 2]}, "num_tasks=4: angles lists 2 angles; give num_tasks=2"),
        ({"angles": [1, 2, 3, 4], "random": True}, "random=true: angles says what the angles are; leave one"),
    ],
)
def test_angles_that_contradict_other_settings(changes: dict[str, Any], line: str) -> None:
    reason = RotatedImages.unsupported(RotatedImages.Settings(**(SETTINGS | changes)), noise())
    assert reason is not None and reason.startswith(line)


@pytest.mark.parametrize("change", [{"span": 0}, {"span": 361}, {"angles": [400]}, {"angles": 3}, {"padding": -1}])
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(change))):
        RotatedImages.Settings(**(SETTINGS | change))


def test_vectors_cannot_be_turned() -> None:
    sizes: dict[str, Any] = {"num_classes": 3, "train_per_class": 4, "test_per_class": 2, "spread": 0.1, "seed": 1}
    points = GaussianBlobs(GaussianBlobs.Settings(name="points", **sizes), Path("unused"))
    with pytest.raises(UserError, match=r"^benchmark=rotated: blobs has no images but inputs of shape \(2,\); choose"):
        make(points)

"""Images as inputs: exact values, and augmentation image by image against slices."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.datasets import images as images_module
from hnet_cl.datasets._torchvision import import_torchvision
from hnet_cl.datasets.images import (
    AUGMENTATIONS,
    CROP_PADDING,
    Normalize,
    Statistics,
    draw_boxes,
    flip,
    flip_and_crop,
    normalizer,
    resized_parts,
    together,
)

CPU = torch.device("cpu")


def photos(number: int, height: int = 6, width: int = 5) -> torch.Tensor:
    """Distinct images without a black pixel."""
    return torch.randint(1, 256, (number, 3, height, width), dtype=torch.uint8)


def test_normalize_by_the_book() -> None:
    images = photos(4)
    mean, std = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)
    inputs = Normalize.of(mean, std, CPU)(images)
    assert inputs.dtype == torch.float32 and inputs.is_contiguous(memory_format=torch.channels_last)
    for channel in range(3):
        expected = (images[:, channel].float() / 255 - mean[channel]) / std[channel]
        assert torch.allclose(inputs[:, channel], expected, atol=1e-6)


def test_raw_pixels_are_kept_and_images_untouched() -> None:
    images = photos(2)
    before = images.clone()
    inputs = Normalize.of((0, 0, 0), (1, 1, 1), CPU)(images)
    assert torch.allclose(inputs * 255, images.float())
    assert torch.equal(images, before)


def test_flip_mirrors_about_half_and_nothing_else() -> None:
    images = photos(1000)
    flipped = flip(images, torch.Generator().manual_seed(0))
    same, mirrored = ((flipped == other).flatten(1).all(1) for other in (images, images.flip(-1)))
    assert (same ^ mirrored).all()
    assert mirrored.sum().item() == pytest.approx(500, abs=60)


@given(seed=st.integers(0, 1000), size=st.tuples(st.integers(5, 9), st.integers(5, 9)))
def test_every_crop_is_a_window_of_the_padded_image(seed: int, size: tuple[int, int]) -> None:
    images = photos(3, *size)
    height, width = size
    cropped = flip_and_crop(images, torch.Generator().manual_seed(seed))
    assert cropped.shape == images.shape and cropped.dtype == torch.uint8
    for image, found in zip(images, cropped, strict=True):
        windows = [
            torch.equal(padded[:, y : y + height, x : x + width], found)
            for padded in (torch.nn.functional.pad(i, [CROP_PADDING] * 4) for i in (image, image.flip(-1)))
            for y in range(2 * CROP_PADDING + 1)
            for x in range(2 * CROP_PADDING + 1)
        ]
        assert sum(windows) == 1


def test_every_offset_occurs_equally_often() -> None:
    image = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    image[0, 0, 4, 4] = 1  # in the middle: an offset moves it anywhere, and mirroring does not
    cropped = flip_and_crop(image.expand(20_000, -1, -1, -1), torch.Generator().manual_seed(0))
    places = cropped.flatten(1).int().argmax(1).bincount(minlength=81)
    assert len(places) == 81 and (places > 170).all()  # 247 each on average, 16 the standard deviation


def test_augmentation_follows_its_generator() -> None:
    images = photos(50)
    for augment in filter(None, AUGMENTATIONS.values()):
        first, again, other = (augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again) and not torch.equal(first, other)


def test_parts_are_resized_as_torch_resizes_each_alone() -> None:
    images = photos(40, 9, 7)
    boxes = draw_boxes(40, 9, 7, torch.Generator().manual_seed(3))
    resized = resized_parts(images, boxes)
    assert resized.shape == images.shape and resized.dtype == torch.uint8
    exact = resized_parts(images.float(), boxes)
    for image, part, rounded, (top, left, tall, wide) in zip(images, exact, resized, boxes.tolist(), strict=True):
        alone = image[None, :, top : top + tall, left : left + wide].float()
        expected = torch.nn.functional.interpolate(alone, (9, 7), mode="bilinear")[0]
        assert torch.allclose(part, expected, atol=1e-3)
        assert torch.allclose(rounded.float(), expected, atol=0.51)


def test_parts_lie_inside_and_have_torchvisions_distribution() -> None:
    boxes = draw_boxes(20_000, 32, 48, torch.Generator().manual_seed(0))
    top, left, tall, wide = boxes.unbind(1)
    assert (top >= 0).all() and (left >= 0).all() and (top + tall <= 32).all() and (left + wide <= 48).all()
    torch.manual_seed(0)
    theirs = import_torchvision().transforms.RandomResizedCrop.get_params
    expected = torch.tensor([theirs(torch.empty(3, 32, 48), (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(4000)])
    for ours, other in zip(boxes.float().T, expected.float().T, strict=True):
        error = (ours.var() / len(ours) + other.var() / len(other)).sqrt()
        assert (ours.mean() - other.mean()).abs() < 4 * error
        assert ours.std().item() == pytest.approx(other.std().item(), rel=0.06)


def test_a_part_that_never_fits_is_the_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "CROP_RATIO", (8.0, 9.0))
    monkeypatch.setattr(images_module, "CROP_AREA", (0.9, 1.0))
    assert draw_boxes(5, 6, 4, torch.Generator().manual_seed(0)).tolist() == [[0, 0, 6, 4]] * 5


def test_statistics_of_several_sets_are_those_of_all_their_pixels() -> None:
    sets = [torch.rand(50, 3) * scale for scale in (1.0, 0.3)]
    parts = [Statistics(one.mean(0).tolist(), one.std(0, correction=0).tolist()) for one in sets]
    both = torch.cat(sets)
    mean, std = together(parts)
    assert mean == pytest.approx(both.mean(0).tolist(), abs=1e-6)
    assert std == pytest.approx(both.std(0, correction=0).tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("chosen", "grey"), [(False, 0.2), (True, (0.2 - 0.485) / 0.229), ("dataset", (0.2 - 0.1) / 0.5)]
)
def test_what_normalize_chooses(chosen: Any, grey: float) -> None:
    own = Statistics((0.1,) * 3, (0.5,) * 3)
    inputs = normalizer(chosen, own, CPU)(torch.full((1, 3, 2, 2), 51, dtype=torch.uint8))
    assert inputs[0, 0, 0, 0].item() == pytest.approx(grey, abs=1e-6)

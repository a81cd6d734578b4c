"""Images as inputs: exact values, and augmentation image by image against slices."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.datasets.images import AUGMENTATIONS, CROP_PADDING, Normalize, flip, flip_and_crop

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

"""The base class of datasets of colour images, which can be augmented and normalised."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor

from hnet_cl.datasets.base import Dataset, Part
from hnet_cl.datasets.images import AUGMENTATIONS, Augmentation, Normalization, Normalize, Statistics, normalizer

TEST_EVERY = 5  # of each class's images, where there are no test images


class ColourImages(Dataset):
    """A dataset of images uint8 (n, 3, h, w) whose training pixels have known statistics."""

    class Settings(Dataset.Settings):
        augment: Augmentation
        normalize: Normalization

    @property
    @abstractmethod
    def statistics(self) -> Statistics:
        """Returns mean and standard deviation of all training pixels, as published."""

    def encoder(self, device: torch.device) -> Normalize:
        """Returns an encoder that scales pixels to [0, 1] and normalises them as the settings say."""
        return normalizer(self.settings.normalize, self.statistics, device)

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        """Returns the augmentation that the settings choose."""
        return AUGMENTATIONS[self.settings.augment]


def in_colour(image: Any, side: int) -> Tensor:
    """Returns a decoded image as uint8 (3, side, side), resized without cropping.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(image, Image.Image):
        raise TypeError(f"it is a {type(image).__name__}, no image")
    small = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)


def every_fifth(part: Part) -> list[Part]:
    """Returns four fifths and one fifth of the examples of each class, in their order."""
    order = part.labels.argsort(stable=True)
    counts = part.labels.bincount()
    starts = (counts.cumsum(0) - counts)[part.labels[order]]
    test = torch.zeros(len(order), dtype=torch.bool)
    test[order] = (torch.arange(len(order)) - starts) % TEST_EVERY == TEST_EVERY - 1
    return [Part(part.images[chosen], part.labels[chosen]) for chosen in (~test, test)]

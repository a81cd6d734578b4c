"""The base class of datasets of colour images, which can be augmented and normalised."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from hnet_cl.datasets.base import Dataset
from hnet_cl.datasets.images import AUGMENTATIONS, Augmentation, Normalization, Normalize, Statistics, normalizer


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

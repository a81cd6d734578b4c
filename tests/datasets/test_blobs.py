"""Blobs as a dataset: their sizes, their spread, and what they follow from."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hnet_cl.datasets.base import examples
from hnet_cl.datasets.blobs import GaussianBlobs

SETTINGS: dict[str, Any] = {
    "name": "blobs",
    "num_classes": 4,
    "train_per_class": 500,
    "test_per_class": 30,
    "spread": 0.05,
    "seed": 42,
}


def make(**changes: Any) -> GaussianBlobs:
    return GaussianBlobs(GaussianBlobs.Settings(**(SETTINGS | changes)), Path("unused"))


def test_every_class_is_one_blob_of_that_spread() -> None:
    data = examples(make())
    assert data.train.labels.bincount().tolist() == [500] * 4 and data.test.labels.bincount().tolist() == [30] * 4
    centres = torch.stack([data.train.images[data.train.labels == label].mean(0) for label in range(4)])
    for label in range(4):
        points = data.train.images[data.train.labels == label]
        assert points.std(0).tolist() == pytest.approx([0.05, 0.05], rel=0.15)
    nearest = torch.cdist(data.test.images, centres).argmin(1)
    assert (nearest == data.test.labels).float().mean() > 0.95, "blobs lie apart"
    assert not data.are_images and data.in_shape == (2,) and data.class_groups == [[0, 1, 2, 3]]


def test_points_follow_the_seed() -> None:
    one, same, other = (make(seed=seed).load() for seed in (1, 1, 2))
    assert one.identity == same.identity and one.identity.fixed
    assert one.identity.checksum != other.identity.checksum and not torch.equal(one.train.images, other.train.images)


def test_memory_is_that_of_its_tensors() -> None:
    data = make().load()
    tensors = [*data.train, *data.test]
    assert make().memory() == sum(tensor.nbytes for tensor in tensors)

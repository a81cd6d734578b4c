"""The toy regression: the paper's functions, ranges and noise."""

import pytest
import torch
from builders import CPU

from hnet_cl.benchmarks.toy_regression import Polynomials

SETTINGS = {"name": "toy_regression", "train_per_task": 100, "test_per_task": 5, "noise": 0.05, "seed": 42}


def make(**changes: float) -> Polynomials:
    return Polynomials(Polynomials.Settings(**(SETTINGS | changes)), None, CPU)


def test_tests_are_the_functions_themselves() -> None:
    inputs, labels = zip(*(task.test.batch(slice(None)) for task in make().tasks), strict=True)
    torch.testing.assert_close(inputs[0][:, 0], torch.tensor([-4, -3.5, -3, -2.5, -2]))
    torch.testing.assert_close(labels[0][:, 0], torch.tensor([-1, -0.5, 0, 0.5, 1]))
    torch.testing.assert_close(inputs[1][:, 0], torch.tensor([-1, -0.5, 0, 0.5, 1]))
    torch.testing.assert_close(labels[1][:, 0], torch.tensor([1, -0.5, -1, -0.5, 1]))
    torch.testing.assert_close(inputs[2][:, 0], torch.tensor([2, 2.5, 3, 3.5, 4]))
    torch.testing.assert_close(labels[2][:, 0], torch.tensor([-1, -0.125, 0, 0.125, 1]))


def test_training_labels_have_the_noise_and_tests_none() -> None:
    for noisy, exact in zip(make(train_per_task=5000).tasks, make(train_per_task=5000, noise=0.0).tasks, strict=True):
        assert torch.equal(noisy.train.images, exact.train.images)
        noise = noisy.train.labels - exact.train.labels
        assert noise.std().item() == pytest.approx(0.05, rel=0.05) and abs(noise.mean().item()) < 0.003
        low, high = noisy.test.images.aminmax()
        assert noisy.train.images.min() >= low and noisy.train.images.max() <= high
        assert torch.equal(noisy.test.labels, exact.test.labels)


def test_the_seed_decides_and_the_checksum_tells() -> None:
    one, same, other = make(), make(), make(seed=43)
    assert one.data == same.data and one.data.checksum != other.data.checksum
    assert [task.kind for task in one.tasks] == ["regression"] * 3 and one.class_counts == (1, 1, 1)

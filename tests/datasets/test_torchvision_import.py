"""Torchvision is usable whichever torch it stands beside."""

import subprocess
import sys

import pytest

_USE = """
import pathlib, sys
from hnet_cl.datasets.mnist import load_mnist
load_mnist("embedded", pathlib.Path("unused"))
assert "torchvision" not in sys.modules, "reading digits must not wait for torchvision"
from hnet_cl.datasets._torchvision import import_torchvision
torchvision = import_torchvision()
assert import_torchvision() is torchvision
assert torchvision.datasets.CIFAR10.__name__ == "CIFAR10"
transforms = torchvision.transforms
crop = transforms.Compose([transforms.CenterCrop(2), transforms.ToTensor()])
data = torchvision.datasets.FakeData(size=3, image_size=(3, 8, 8), num_classes=2, transform=crop)
image, label = data[1]
assert image.shape == (3, 2, 2) and 0 <= image.min() and image.max() <= 1 and int(label) in (0, 1)
print("works")
"""

# What a CPU-only torch does beside a torchvision for CUDA, wherever this test runs.
_BREAK = """
import torch
def load_library(path):
    raise OSError("libc10_cuda.so: cannot open shared object file: No such file or directory")
torch.ops.load_library = load_library
"""


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_datasets_and_transforms_work_as_installed() -> None:
    assert _run(_USE) == "works\n"


@pytest.mark.slow
def test_datasets_and_transforms_work_without_the_compiled_operators() -> None:
    assert _run(_BREAK + _USE) == "works\n"

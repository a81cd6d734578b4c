"""What all tests have in common."""

from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(1)  # everything here is small: threads would only wait for each other


@pytest.fixture(autouse=True)
def same_draws() -> Iterator[None]:
    """Every test starts from the same state of torch's global generator and leaves no trace in it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield

"""What all tests have in common."""

import logging
import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest
import torch
from data_fixtures import full_celeba, full_cifar, full_data, tiny  # noqa: F401  (fixtures of all tests)

import hnet_cl.config.resolvers  # noqa: F401  (registers what yaml files refer to, for tests that compose)

torch.set_num_threads(1)  # everything here is small: threads would only wait for each other


@pytest.fixture(autouse=True)
def same_draws() -> Iterator[None]:
    """Every test starts from the same state of torch's global generator and leaves no trace in it.

    What a run sets for its whole process is set back: number of threads, denormal numbers as zero, level of logging.
    """
    threads, level = torch.get_num_threads(), logging.getLogger().level
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    logging.getLogger().setLevel(level)


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Whatever never ends fails."""

    def late(*_: object) -> NoReturn:
        raise AssertionError("it does not end")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)

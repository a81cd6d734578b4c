"""Named random streams: drawing from one never moves another."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def derive_seed(seed: int, *names: str | int) -> int:
    """Derives a 63-bit seed for the stream `names` (no slashes) of `seed`; distinct ones give unrelated streams."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Makes a generator for the stream `names`, the same for every method with that seed; devices differ."""
    return torch.Generator(device).manual_seed(derive_seed(seed, *names))


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Puts the stream `names` in place of torch's global generators; outside they go on as if nothing happened."""
    with OwnRandomness(seed, *names):
        yield


class OwnRandomness:
    """torch's global generators as one of several users in turn has them.

    Inside `with own:` they are the stream `names`, from where it was left the last time; outside they go on as if
    nothing had happened.
    """

    def __init__(self, seed: int, *names: str | int) -> None:
        others = _global_states()
        torch.manual_seed(derive_seed(seed, *names))
        self._own = _global_states()
        _set_global_states(others)

    def __enter__(self) -> None:
        self._others = _global_states()
        _set_global_states(self._own)

    def __exit__(self, *_: object) -> None:
        self._own = _global_states()
        _set_global_states(self._others)


def _global_states() -> list[Tensor]:
    """States of the processor's generator and of the GPU's, where one is."""
    gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *gpu]


def _set_global_states(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)

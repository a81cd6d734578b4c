"""Named random streams: drawing from one never moves another."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import torch
from torch import Tensor


class Stream(StrEnum):
    """Names of all random streams of hnet_cl; numbers (of a task, mostly) follow where there are several of a name.

    A name decides what is drawn: another one changes all results that rest on it.
    """

    # of data, from the seed of the benchmark
    BLOBS = "blobs"  # the toy benchmark's examples, of a task
    CELEBA = "celeba"  # which images the tasks get
    DIGITS = "digits"  # the order of classes in split benchmarks, of which split MNIST was the first
    PERMUTATION = "permutation"  # of pixels, of a task
    # of the sequence of tasks
    TASK_ORDER = "task order"
    VALIDATION = "validation"  # which examples are held out
    # of training
    BATCHES = "batches"  # the order of examples, of a task
    AUGMENTATION = "augmentation"  # of a task
    STEPS = "steps"  # what modules draw without asking, as dropout does, of a task
    END_OF_TASK = "end of task"  # the same at its end
    EVALUATION = "evaluation"  # the same while tasks are tested, of the latest task
    # of initial weights
    TARGET_INIT = "init/target"  # of the network that serves all tasks, or of a task's own
    HYPERNETWORK_INIT = "init/hypernetwork"
    ENCODER_INIT = "init/encoder"
    DECODER_INIT = "init/decoder"
    DECODER_HYPERNETWORK_INIT = "init/decoder hypernetwork"
    # of methods, of a task
    REGULARIZED_TASKS = "regularized tasks"  # old tasks, or blocks of weights, in each step's regulariser
    REGULARIZED_DECODERS = "regularized decoders"  # the same of a generated decoder
    LATENT_NOISE = "latent noise"  # of the posterior of a variational autoencoder
    REPLAY = "replay"  # what is replayed, of a task and a block of steps
    SAMPLES = "samples"  # of a generator, that people see and a classifier judges
    FISHER = "fisher"  # examples and labels of the Fisher information
    # of the judgement of samples
    SAMPLE_CLASSIFIER = "judge"  # the seed of the classifier of real data, of a number of tasks
    SAMPLE_CLASSIFIER_BATCHES = "joint batches"  # what it learns from
    # of trials before training, whose results are thrown away
    INSPECTION = "inspection"
    REHEARSAL = "rehearsal"
    MASKS = "masks"  # of the output layer
    OTHER_WEIGHTS = "other weights"  # at which ways to the Fisher information are compared


def derive_seed(seed: int, *names: str | int) -> int:
    """Derives a 63-bit seed for the stream `names` of `seed`; distinct ones give unrelated streams.

    Args:
        seed: of the run, or of the benchmark.
        names: a `Stream` of ours, or a word without slashes that no other part uses, and numbers.
    """
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

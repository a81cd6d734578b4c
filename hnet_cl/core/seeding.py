"""Named random streams: drawing from one never affects another."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import torch
from torch import Tensor


class Stream(StrEnum):
    """Names of all random streams of hnet_cl; numbers, mostly a task's, distinguish several streams of one name.

    The seed of a stream is derived from its name, so renaming one changes all results that depend on it.
    """

    # data, with the benchmark's seed
    BLOBS = "blobs"  # the toy benchmark's examples, per task
    CELEBA = "celeba"  # the assignment of images to tasks
    HELD_OUT = "held-out test data"  # a share of a user's own data, per class
    DIGITS = "digits"  # the order of classes in split benchmarks; named after split MNIST, the first of them
    DYNAMICS = "dynamics"  # first states and actions, per task
    PERMUTATION = "permutation"  # of pixels, per task
    ROTATION = "rotation"  # angles, per task
    FROZEN_NETWORK = "frozen network"  # weights of a network whose features are the data, where none are given
    POLYNOMIALS = "polynomials"  # inputs and noise of the toy regression, per task
    # the sequence of tasks
    TASK_ORDER = "task order"
    VALIDATION = "validation"  # the choice of held-out examples
    # training
    BATCHES = "batches"  # the order of examples, per task
    AUGMENTATION = "augmentation"  # per task
    STEPS = "steps"  # draws from torch's global generators in steps, such as dropout's, per task
    END_OF_TASK = "end of task"  # the same at the end of a task
    EVALUATION = "evaluation"  # the same during evaluation, per latest task
    WINDOW = "evaluation window"  # the same during an evaluation in the middle of a task, per task and iteration
    # initial weights
    TARGET_INIT = "init/target"  # of the network shared by all tasks, or of one task's own
    HYPERNETWORK_INIT = "init/hypernetwork"
    ENCODER_INIT = "init/encoder"
    DECODER_INIT = "init/decoder"
    DECODER_HYPERNETWORK_INIT = "init/decoder hypernetwork"
    # methods, per task
    REGULARIZED_TASKS = "regularized tasks"  # the old tasks, or blocks of weights, in each step's regulariser
    REGULARIZED_DECODERS = "regularized decoders"  # the same for a generated decoder
    LATENT_NOISE = "latent noise"  # of the posterior of a variational autoencoder
    REPLAY = "replay"  # replayed examples, per task and block of steps
    BUFFER = "buffer"  # the choice of stored training examples, per task
    BUFFER_DRAWS = "buffer draws"  # of stored examples in each step, per task
    SAMPLES = "samples"  # a generator's samples that are shown and that a classifier judges
    FISHER = "fisher"  # examples and labels for the Fisher information
    GATES = "gates"  # which units are off, per task and layer; or first embeddings of tasks, from which gates are made
    LAYER_INPUTS = "layer inputs"  # examples whose inputs to layers are kept
    SIGNS = "signs"  # of fixed random weights; one for all tasks
    SCORES = "scores"  # first scores of weights, per task where each starts anew
    IMPORTANCE = "importance"  # samples of the posterior by which likelihoods are estimated; the same for all inputs
    PROJECTION = "projection"  # of inputs to random features; one for all tasks
    RIDGE = "ridge"  # examples by which a ridge is chosen
    TRANSFER = "transfer"  # examples of a new task by which old networks are scored, per task
    GUIDE = "guide"  # where the search for a new task's guide starts, per task
    GUIDE_DECODER = "guide decoder"  # its first weights, per task
    WEIGHT_NOISE = "weight noise"  # of the sampled weights in each step, per task
    WEIGHT_SAMPLES = "weight samples"  # by which sampled networks answer; the same for all inputs and tasks
    # pictures of a finished run
    PLANE = "plane of embeddings"  # the choice of test examples, per task
    # the classifier that judges samples
    SAMPLE_CLASSIFIER = "judge"  # its seed, per number of tasks; it is trained on real data
    SAMPLE_CLASSIFIER_BATCHES = "joint batches"  # its training batches
    # trials before training, whose results are discarded
    INSPECTION = "inspection"
    REHEARSAL = "rehearsal"
    MASKS = "masks"  # of the output layer
    OTHER_WEIGHTS = "other weights"  # weights at which ways to compute the Fisher information are compared


def derive_seed(seed: int, *names: str | int) -> int:
    """Derives a 63-bit seed for the stream `names` of `seed`; different names give independent streams.

    Args:
        seed: seed of the run or of the benchmark.
        names: a member of `Stream`, or a word without slashes that no other part uses; then numbers, if any.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Returns a generator for the stream `names`, the same for every method with that seed.

    On another device it draws other numbers.
    """
    return torch.Generator(device).manual_seed(derive_seed(seed, *names))


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Makes torch's global generators draw from the stream `names` while inside; afterwards their state is restored."""
    with OwnRandomness(seed, *names):
        yield


class OwnRandomness:
    """A stream that one of several users in turn draws from torch's global generators.

    Inside `with own:` the global generators continue the stream `names` where it was left the last time; afterwards
    their previous state is restored.
    """

    def __init__(self, seed: int, *names: str | int) -> None:
        others = global_states()
        torch.manual_seed(derive_seed(seed, *names))
        self._own = global_states()
        _set_global_states(others)

    def __enter__(self) -> None:
        self._others = global_states()
        _set_global_states(self._own)

    def __exit__(self, *_: object) -> None:
        self._own = global_states()
        _set_global_states(self._others)


def global_states() -> list[Tensor]:
    """Returns the states of torch's global generators on the CPU and, if there is one, on the current GPU."""
    gpu = [torch.cuda.get_rng_state()] if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *gpu]


def _set_global_states(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for state in states[1:]:
        torch.cuda.set_rng_state(state)

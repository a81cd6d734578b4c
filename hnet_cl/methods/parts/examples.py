"""Training examples that methods look at again when a task has been learned. A part of methods."""

from collections.abc import Iterator

import torch
from torch import Tensor

from hnet_cl.benchmarks.base import Split
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.base import Context

BATCH = 50  # examples at a time, as a convolution has many inputs for each; does not affect the result


def inputs_of(data: Split, samples: int | None, context: Context, task: int) -> Iterator[Tensor]:
    """Yields inputs (n, *in_shape), without augmentation, of `samples` drawn training examples, or of all if None."""
    rng = stream(context.seed, Stream.LAYER_INPUTS, task)
    index = torch.randperm(len(data), generator=rng)[:samples].to(context.device)
    return (data.batch(part)[0] for part in index.split(BATCH))

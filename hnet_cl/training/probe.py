"""A first look at the networks of a run: what cannot be trained or tested is known before anything is learned."""

import logging
from collections.abc import Sequence

import torch

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.methods.base import Learner

_log = logging.getLogger(__name__)


def probe(learner: Learner, tasks: Sequence[Task], batch_size: int) -> None:
    """Lets a learner that has learned nothing yet try two examples; says what it can only do in a slower way.

    Neither the learner nor any random stream is changed.

    Raises:
        UserError: the networks cannot be trained or tested on such inputs.
    """
    data = tasks[0].train
    index = torch.arange(min(2, batch_size)) % len(data)  # a batch may hold an example twice
    inputs, _ = data.batch(index.to(data.labels.device))
    with seeded(learner.setup.seed, Stream.INSPECTION):
        for note in learner.inspect(inputs):
            _log.warning("%s", note)

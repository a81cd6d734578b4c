"""The task embeddings that a learner has. A part of methods."""

import torch
from torch import nn

from hnet_cl.hypernet import Hypernetwork


def task_embeddings(learner: nn.Module, learned: int) -> list[list[float]] | None:
    """Returns the embeddings (T, E) of the first `learned` tasks; None unless a hypernetwork generates the classifier.

    Args:
        learner: its attribute `hypernetwork` is asked for them.
        learned: T > 0.
    """
    hypernetwork = getattr(learner, "hypernetwork", None)
    if not isinstance(hypernetwork, Hypernetwork):
        return None
    found: list[list[float]] = torch.stack([*hypernetwork.task_embeddings[:learned]]).detach().float().tolist()
    return found

"""Task inference: which task an input belongs to, when nobody says so. A part that methods exchange."""

from dataclasses import replace
from typing import Literal

from pydantic import PositiveFloat
from torch import Tensor

from hnet_cl.core import settings as base
from hnet_cl.methods.base import Setup
from hnet_cl.methods.replay import Replay, ReplaySettings
from hnet_cl.scenario import separate_heads


class Given(base.Settings):
    """The task is told; without it there is no answer."""

    kind: Literal["given"]


class ByClassifier(ReplaySettings):
    """What a classifier of tasks says, which learns with generative replay as any other (paper, HNET+TIR)."""

    kind: Literal["classifier"]


class ByEntropy(base.Settings):
    """The task whose network is surest of its answer (paper, HNET+ENT; `temperature` 1 in the official code)."""

    kind: Literal["entropy"]
    temperature: PositiveFloat


def entropy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Shannon entropy in nats of the softmax of logits (..., C) / temperature, of shape (...).

    From log-probabilities, so that saturated logits give 0 and not NaN; logits of -inf count as absent classes.
    """
    log_p = (logits / temperature).log_softmax(-1)
    return -(log_p.exp() * log_p.clamp(min=-1e30)).sum(-1)


def least_entropy(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """For logits (T, b, C) of every candidate task's network: the surest task (b,) and its entropy (b,).

    The first of equals wins. Where a network answers with NaN nobody knows, and the entropy is NaN.
    """
    values = entropy(logits, temperature)
    least = values.min(0)
    return (values == least.values).int().argmax(0), least.values


def task_classifier(settings: ByClassifier, setup: Setup) -> Replay:
    """A learner for which every task is a class of its own, so that its answer to an input is the input's task."""
    return Replay(settings, replace(setup, heads=separate_heads([1] * setup.heads.num_tasks)))

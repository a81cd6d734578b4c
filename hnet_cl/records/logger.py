"""The base of all loggers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hnet_cl.core import settings
from hnet_cl.records.run_state import RunState, Samples

if TYPE_CHECKING:
    import numpy as np


class Logger:
    """Shows or records a run; subclasses override the events they need.

    Every event comes with the complete `RunState`, so loggers do not depend on each other; none may change it. A logger
    that is chosen in yaml is constructed from its settings alone. If it raises an error, there is one warning, and the
    run continues without it.
    """

    class Settings(settings.Settings):
        """The logger's keys in yaml; none here."""

    writes = ""  # the file in the run folder that the logger writes, for messages

    def __init__(self, settings: Any = None) -> None:
        self.settings = settings

    def begin_run(self, state: RunState) -> None:
        """Handles the start of the run, or its continuation after what `state` already holds; called once, first."""

    def begin_task(self, state: RunState) -> None:
        """Handles the start of training on `state.task`, or its continuation after `state.iteration` iterations."""

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        """Receives the losses of iteration `state.iteration` of the task (`state.iterations_done` of the run)."""

    def window(self, state: RunState) -> None:
        """Handles a new last point of `state.window`: the scores on old tasks after `state.iteration` iterations."""

    def end_task(self, state: RunState) -> None:
        """Handles the end of training on the task; what follows until `row` is evaluation."""

    def samples(self, state: RunState, samples: Samples) -> None:
        """Receives samples that the learner's generator draws for the tasks so far; called before `row`."""

    def row(self, state: RunState) -> None:
        """Handles a new last row of the matrix of scores, with its metrics."""

    def picture(self, state: RunState, name: str, pixels: "np.ndarray") -> None:
        """Receives a picture, uint8 (height, width, 3), of the run after `state.learned` tasks."""

    def save(self, state: RunState) -> None:
        """Handles the writing of a checkpoint: everything logged so far must be on disk when this returns."""

    def end_run(self, state: RunState) -> None:
        """Handles the end of the run; `state.status` is finished, interrupted or failed. Called once, last."""

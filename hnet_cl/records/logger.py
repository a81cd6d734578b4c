"""The base of all loggers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hnet_cl.core import settings
from hnet_cl.records.run_state import RunState, Samples

if TYPE_CHECKING:
    import numpy as np


class Logger:
    """Shows or records a run; overrides what it listens to.

    Everything it may need is in the `RunState` that it is given, which is complete: loggers do not depend on each
    other, and none changes it. One that a yaml chooses is made of its settings alone; where it raises an error, that
    is told once, and the run goes on without it.
    """

    class Settings(settings.Settings):
        """Its keys in yaml; none here."""

    writes = ""  # the file in the run folder that it writes, for messages

    def __init__(self, settings: Any = None) -> None:
        self.settings = settings

    def begin_run(self, state: RunState) -> None:
        """Hears, once and first, that the run starts, or continues after what `state` holds already."""

    def begin_task(self, state: RunState) -> None:
        """Hears that training of `state.task` starts, or continues after `state.iteration` iterations."""

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        """Hears the losses of iteration `state.iteration` of the task, which is `state.iterations_done` of the run."""

    def end_task(self, state: RunState) -> None:
        """Hears that training of the task is over; what follows until `row` is evaluation."""

    def samples(self, state: RunState, samples: Samples) -> None:
        """Hears, before `row`, what the learner's generator makes of the tasks so far."""

    def row(self, state: RunState) -> None:
        """Hears that the accuracy matrix has a new last row, with its metrics."""

    def picture(self, state: RunState, name: str, pixels: "np.ndarray") -> None:
        """Hears of a picture (height, width, 3) of the run after `state.learned` tasks."""

    def save(self, state: RunState) -> None:
        """Hears that a checkpoint is made: what has been logged so far is on disk when it returns."""

    def end_run(self, state: RunState) -> None:
        """Hears, once and last, that the run ends as `state.status` says: finished, interrupted or failed."""

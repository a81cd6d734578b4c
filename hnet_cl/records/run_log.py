"""The log of a run: updates its state and notifies all loggers."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hnet_cl.core.atomic_files import naming, refused
from hnet_cl.core.errors import UserError, first_line
from hnet_cl.records.logger import Logger
from hnet_cl.records.run_result import Status
from hnet_cl.records.run_state import RunState, Samples
from hnet_cl.training.listener import Listener

if TYPE_CHECKING:
    import numpy as np

_log = logging.getLogger("hnet_cl")


class RunLog(Listener):
    """Listens to training, updates the run's state with each event and then passes the event on to all loggers.

    Args:
        state: state of the run.
        loggers: essential loggers: an error that one raises ends the run.
        dispensable: optional loggers, by name: one that raises an error is dropped with a warning.
        kept_bytes: returns the bytes that the learner keeps, by part; asked after each task. None if nobody knows.
        embeddings: returns the embeddings (T, E) of the given number of tasks, if the learner has any; asked likewise.
    """

    def __init__(
        self,
        state: RunState,
        loggers: Sequence[Logger],
        dispensable: Mapping[str, Logger],
        kept_bytes: Callable[[], Mapping[str, int]] | None = None,
        embeddings: Callable[[int], Sequence[Sequence[float]] | None] = lambda learned: None,
    ) -> None:
        self.state = state
        self._kept_bytes = kept_bytes
        self._embeddings = embeddings
        self._loggers = list(loggers)
        self._dispensable = dict(dispensable)

    def begin_run(self) -> None:
        """Notifies the loggers that the run starts or continues."""
        self._tell("begin_run")

    def begin_task(self, task: int, iteration: int) -> None:
        """Notes and passes on that training on `task` starts, or continues after `iteration` iterations."""
        self.state.begin_task(task, iteration)
        self._tell("begin_task")

    def losses(self, task: int, iteration: int, losses: Mapping[str, float]) -> None:
        """Notes the iteration and passes on its losses."""
        self.state.iteration = iteration
        self._tell("losses", losses)

    def accuracy(self, task: int, iteration: int, accuracy: float | None) -> None:
        """Notes the accuracy on the batch whose losses follow."""
        self.state.training_accuracy = accuracy

    def window(self, task: int, iteration: int, scores: Sequence[float], took_s: float) -> None:
        """Notes and passes on the scores on old tasks after an iteration."""
        self.state.tested(iteration, scores, took_s)
        self._tell("window")

    def end_task(self, task: int) -> None:
        """Notes and passes on that training on the task has ended and evaluation begins."""
        self.state.end_task()
        self._tell("end_task")

    def samples(self, task: int, pictures: "np.ndarray | None", recognised: Sequence[float], real: float) -> None:
        """Notes and passes on samples of the learner's generator; see `run_state.Samples`."""
        samples = Samples(pictures, recognised, real)
        self.state.sampled(samples)
        self._tell("samples", samples)

    def certified(self, task: int, shares: Sequence[float | None]) -> None:
        """Notes the (T,) certified accuracies after a task; they are passed on with its row."""
        self.state.certify(shares)

    def row(self, task: int, scores: Sequence[float | None], inferred: Sequence[Sequence[int]] | None = None) -> None:
        """Notes and passes on a row (T,) of the matrix of scores, and (T, T) counts of inferred tasks."""
        self.state.row(scores, inferred, self._kept_bytes and self._kept_bytes(), self._embeddings(task + 1))
        self._tell("row")

    def picture(self, name: str, pixels: "np.ndarray") -> None:
        """Passes on a picture, uint8 (height, width, 3)."""
        self._tell("picture", name, pixels)

    def save(self, iteration: int) -> None:
        """Notes and passes on that a checkpoint is made after `iteration` iterations of the task."""
        self.state.iteration = iteration
        self._tell("save")

    def end_run(self, status: Status, error: str | None = None) -> None:
        """Notifies the loggers that the run has ended; each of them is notified only once."""
        self.state.status, self.state.error = status, error
        self._tell("end_run")
        self._loggers, self._dispensable = [], {}

    def _tell(self, event: str, *what: Any) -> None:
        for logger in self._loggers:
            getattr(logger, event)(self.state, *what)
        for name, logger in list(self._dispensable.items()):
            try:
                with naming(self.state.folder / logger.writes):
                    getattr(logger, event)(self.state, *what)
            except UserError:
                raise
            except Exception as error:
                self._dispensable.pop(name, None)
                said = f"{type(error).__name__}: {first_line(error)}"
                reason = refused(error) if isinstance(error, OSError) else said
                _log.warning("logger=%s ends here, the run goes on: %s", name, reason)

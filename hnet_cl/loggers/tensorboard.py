"""TensorBoard events of a run: loss and accuracy curves, pictures, and the hparams table."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hnet_cl.loggers.dispensable import dispensable, silence_writer
from hnet_cl.records import metrics

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SHOWN_METRICS = ("acc", "acc_low", "acc_high", "majority", "during", "bwt", "forgetting", "task_inference")


class TensorBoardLog:
    """Writes events into the run folder itself: its path below the log directory is the run's name there.

    Where they cannot be written, it warns once and the run goes on without them.

    `train/<loss>` has the iteration over all tasks as its step; `eval/*` and pictures have the number of tasks learned.

    Args:
        folder: the run folder.
        iterations: (T,) iterations of each task.
        yardstick: what the accuracies are measured against.
        hparams: settings for the hparams table. Lists and mappings are shown as text, None is left out.
        matrix: finished rows of the accuracy matrix of a run that continues.
    """

    def __init__(
        self,
        folder: Path,
        iterations: Sequence[int],
        yardstick: metrics.Yardstick,
        hparams: Mapping[str, object],
        matrix: metrics.Matrix = (),
    ) -> None:
        self._folder = folder
        self._learned = len(matrix)
        self.path = folder / "events.out.tfevents"  # and a number
        self.lost = False
        self._before = [0, *accumulate(iterations)]  # iterations of all tasks before each
        self._yardstick = yardstick
        self._hparams = hparams
        self._matrix = list(matrix)
        self._inferred: Sequence[Sequence[int]] | None = None
        self._open: SummaryWriter | None = None

    def _writer(self, iterations: int | None = None) -> "SummaryWriter":
        """Opened where the run starts or continues: after `iterations`, by default those of the tasks learned."""
        if self._open is None:
            from torch.utils.tensorboard import SummaryWriter  # costs a second, so not before it is needed

            from hnet_cl.loggers.events import cut_back

            done = self._before[self._learned] if iterations is None else iterations
            cut_back(self._folder, done, self._learned)
            silence_writer()
            # A TensorBoard that has read what was beyond forgets it too.
            self._open = SummaryWriter(str(self._folder), purge_step=done + 1 if done else None)
        return self._open

    @dispensable
    def begin_task(self, task: int, iteration: int) -> None:
        """Training of `task` starts, or continues after `iteration` iterations."""
        self._writer(self._before[task] + iteration)

    @dispensable
    def losses(self, task: int, iteration: int, losses: Mapping[str, float]) -> None:
        """Named losses of an iteration (counted from 1 within the task)."""
        step = self._before[task] + iteration
        for name, value in losses.items():
            self._writer().add_scalar(f"train/{name}", value, step)

    def end_task(self, task: int) -> None:
        """Nothing to write before the task is evaluated."""

    @dispensable
    def samples(self, task: int, pictures: np.ndarray | None, recognised: Sequence[float], real: float) -> None:
        """Of the generator's samples for tasks 0 to `task` the share of each that is recognised, and of real images."""
        shares = {f"task_{number}": share for number, share in enumerate(recognised, start=1)} | {"real": real}
        for name, share in shares.items():
            self._writer().add_scalar(f"recognised/{name}", share, task + 1)

    @dispensable
    def row(
        self, task: int, accuracies: Sequence[float | None], inferred: Sequence[Sequence[int]] | None = None
    ) -> None:
        """Row `task` of the accuracy matrix: (T,) fractions, None where not evaluated; and (T, T) counts of tasks."""
        self._matrix.append(accuracies)
        self._inferred = inferred
        learned = len(self._matrix)
        writer = self._writer()
        for number, accuracy in enumerate(accuracies, start=1):
            if accuracy is not None:
                writer.add_scalar(f"eval/task_{number}", accuracy, learned)
        for name, value in self._metrics().items():
            writer.add_scalar(f"eval/{name}", value, learned)
        writer.flush()

    @dispensable
    def picture(self, name: str, pixels: np.ndarray, learned: int) -> None:
        """A picture (height, width, 3) of the run after `learned` tasks."""
        self._writer().add_image(name, pixels, learned, dataformats="HWC")

    @dispensable
    def flush(self) -> None:
        """All events so far are on disk when it returns, so a run that continues misses none."""
        self._writer().flush()

    @dispensable
    def finish(self) -> None:
        """The run is complete: enter it in the hparams table with its final metrics."""
        hparams = {name: _shown(value) for name, value in self._hparams.items() if value is not None}
        final = {f"final/{name}": value for name, value in self._metrics().items()}
        # The run name "." keeps the entry in this run; by default it would become a run of its own.
        self._writer().add_hparams(hparams, final, run_name=".", global_step=len(self._matrix))

    @dispensable
    def close(self) -> None:
        """Write out what is buffered; nothing happens if no event was ever written."""
        if self._open is not None:
            self._open.close()

    def _metrics(self) -> dict[str, float]:
        values = metrics.summary(self._matrix, self._yardstick, self._inferred)
        return {name: value for name in SHOWN_METRICS if (value := values[name]) is not None}


def _shown(value: object) -> bool | int | float | str:
    return value if isinstance(value, (bool, int, float, str)) else str(value)

"""TensorBoard events of a run: loss and accuracy curves, pictures, and the hparams table."""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hnet_cl.loggers.hparams import hparams
from hnet_cl.records.logger import Logger
from hnet_cl.records.run_state import RunState, Samples

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardLogger(Logger):
    """Writes events into the run folder itself: its path below the log directory is the run's name there.

    `train/<loss>` has the iteration over all tasks as its step; `eval/*` and pictures have the number of tasks learned.
    """

    writes = "events.out.tfevents"  # and a number
    _writer: "SummaryWriter"

    def begin_run(self, state: RunState) -> None:
        """Opens the events, cut back to where the run starts or continues."""
        from torch.utils.tensorboard import SummaryWriter  # costs a second, so not before it is needed

        from hnet_cl.loggers.events import cut_back

        done = state.iterations_done
        cut_back(state.folder, done, state.learned)
        silence_writer()
        # A TensorBoard that has read what was beyond forgets it too.
        self._writer = SummaryWriter(str(state.folder), purge_step=done + 1 if done else None)

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        """A point of each loss's curve."""
        for name, value in losses.items():
            self._writer.add_scalar(f"train/{name}", value, state.iterations_done)

    def samples(self, state: RunState, samples: Samples) -> None:
        """Of the generator's samples the share of each task that is recognised, and of real images."""
        shares = {f"task_{number}": share for number, share in enumerate(samples.recognised, start=1)}
        for name, share in (shares | {"real": samples.real}).items():
            self._writer.add_scalar(f"recognised/{name}", share, state.task + 1)

    def row(self, state: RunState) -> None:
        """A point of each task's and each metric's curve."""
        for number, accuracy in enumerate(state.matrix[-1], start=1):
            if accuracy is not None:
                self._writer.add_scalar(f"eval/task_{number}", accuracy, state.learned)
        for name, value in defined(state).items():
            self._writer.add_scalar(f"eval/{name}", value, state.learned)
        self._writer.flush()

    def picture(self, state: RunState, name: str, pixels: np.ndarray) -> None:
        """Shows the picture."""
        self._writer.add_image(name, pixels, state.learned, dataformats="HWC")

    def save(self, state: RunState) -> None:
        """All events so far are on disk when it returns, so a run that continues misses none."""
        self._writer.flush()

    def end_run(self, state: RunState) -> None:
        """Enters a finished run in the hparams table with its final metrics; writes out what is buffered."""
        if state.status == "finished":
            settings = {name: _shown(value) for name, value in hparams(state).items() if value is not None}
            final = {f"final/{name}": value for name, value in defined(state).items()}
            # The run name "." keeps the entry in this run; by default it would become a run of its own.
            self._writer.add_hparams(settings, final, run_name=".", global_step=state.learned)
        self._writer.close()


def defined(state: RunState) -> dict[str, float]:
    """Returns the metrics so far that are defined."""
    return {name: value for name, value in state.metrics.items() if value is not None}


def _shown(value: object) -> bool | int | float | str:
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def silence_writer() -> None:
    """From here on, no traceback of TensorBoard's writing thread: its error is raised where events are logged."""
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _of_other_threads


def _of_other_threads(args: threading.ExceptHookArgs) -> None:
    if type(args.thread).__name__ != "_AsyncWriterThread":
        threading.__excepthook__(args)

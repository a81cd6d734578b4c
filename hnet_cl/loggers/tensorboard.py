"""TensorBoard: curves of losses and scores, pictures, and the hparams table of a run."""

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hnet_cl.core.nested import flatten
from hnet_cl.loggers.curves import final_names, of_end, of_losses, of_row, of_samples, of_window
from hnet_cl.loggers.hparams import FIRST, hparams
from hnet_cl.records.logger import Logger
from hnet_cl.records.run_state import RunState, Samples

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardLogger(Logger):
    """Writes events directly into the run folder, so TensorBoard names the run by its path below the log directory.

    The step of `loss/*` and `old_tasks/*` is the iteration over all tasks; that of all other curves (see
    `hnet_cl.loggers.curves`) and of pictures is the number of tasks learned.
    """

    writes = "events.out.tfevents"  # followed by a number
    _writer: "SummaryWriter"

    def begin_run(self, state: RunState) -> None:
        """Opens the event file, truncated to the point where the run starts or continues."""
        from torch.utils.tensorboard import SummaryWriter  # takes a second, so it is imported only when needed

        from hnet_cl.loggers.events import PATTERN, TEXTS, cut_back

        done = state.iterations_done
        first = not done or not any(state.folder.glob(PATTERN))  # a run that extends another one has iterations at once
        cut_back(state.folder, done, state.learned)
        silence_writer()
        # With purge_step, a running TensorBoard discards later events that it has already read.
        self._writer = SummaryWriter(str(state.folder), purge_step=done + 1 if done else None)
        if first:
            for name, text in texts(state).items():
                self._writer.add_text(f"{TEXTS}{name}", text, 0)

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        """Adds a point to each loss's curve."""
        for name, value in of_losses(losses).items():
            self._writer.add_scalar(name, value, state.iterations_done)

    def window(self, state: RunState) -> None:
        """Adds a point to the curve of each old task's score within the window."""
        for name, value in of_window(state).items():
            self._writer.add_scalar(name, value, state.iterations_done)

    def samples(self, state: RunState, samples: Samples) -> None:
        """Logs the fraction of each task's generated samples that is recognised, and that of real images."""
        for name, share in of_samples(samples).items():
            self._writer.add_scalar(name, share, state.task + 1)

    def row(self, state: RunState) -> None:
        """Adds a point to the curve of each task's score and to each metric's curve."""
        for name, value in of_row(state).items():
            self._writer.add_scalar(name, value, state.learned)
        self._writer.flush()

    def picture(self, state: RunState, name: str, pixels: np.ndarray) -> None:
        """Adds the picture to the events."""
        self._writer.add_image(name, pixels, state.learned, dataformats="HWC")

    def save(self, state: RunState) -> None:
        """Writes all events so far to disk, so that a continued run misses none."""
        self._writer.flush()

    def end_run(self, state: RunState) -> None:
        """Adds a finished run with its final metrics to the hparams table, and closes the event file."""
        if state.status == "finished":
            from hnet_cl.loggers.hparams_table import entry

            settings = {name: _shown(value) for name, value in hparams(state).items() if value is not None}
            for event in entry(settings, FIRST, final_names(state)):
                self._writer._get_file_writer().add_summary(event, state.learned)
            for name, value in of_end(state).items():
                self._writer.add_scalar(name, value, state.learned)
        self._writer.close()


def texts(state: RunState) -> dict[str, str]:
    """Returns what a run is as texts in Markdown, by name: command, data, preset, sizes and configuration."""
    facts = state.facts
    sizes = {name: value for name, value in facts.parameters.items() if value is not None}
    return {
        "command": _code([facts.command]),
        "data": _code(f"{key}: {value}" for key, value in facts.data.items()),
        "preset": facts.preset or "the method's own defaults",
        "sizes": _code(f"{name}: {value:,.12g}" for name, value in sizes.items()),
        "configuration": _code(f"{key}: {value}" for key, value in flatten(state.config).items()),
    }


def _code(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _shown(value: object) -> bool | int | float | str:
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def silence_writer() -> None:
    """Suppresses tracebacks of TensorBoard's writer thread from now on.

    Nothing is lost: an error in that thread is also raised where events are logged.
    """
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _of_other_threads


def _of_other_threads(args: threading.ExceptHookArgs) -> None:
    if type(args.thread).__name__ != "_AsyncWriterThread":
        threading.__excepthook__(args)

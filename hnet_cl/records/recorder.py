"""The files of a run folder that other tools read: result.json, accuracy_matrix.csv and metrics.csv."""

import contextlib
import csv
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hnet_cl.core.atomic_files import naming, write_atomically
from hnet_cl.core.plain_text import csv_text
from hnet_cl.records import provenance
from hnet_cl.records.logger import Logger
from hnet_cl.records.run_folder import RESULT
from hnet_cl.records.run_result import SCHEMA, Status, json_text
from hnet_cl.records.run_state import RunState, Samples

MATRIX = "accuracy_matrix.csv"
METRICS = "metrics.csv"
COLUMNS = ["task", "iteration", "name", "value"]


class RunRecorder(Logger):
    """Keeps the files of a run folder true from the run's start to its end.

    result.json says "running" from construction on and is renewed after every task. Every whole file is
    replaced at once; metrics.csv, which only grows, is appended to.

    Args:
        state: the run's; its folder is made if missing.
        lines: losses that metrics.csv holds where an interrupted run continues; it is cut back to them.

    Raises:
        OSError: the folder cannot be written (any method but `fail` and `interrupt`).
    """

    def __init__(self, state: RunState, lines: int = 0) -> None:
        super().__init__()
        self._folder = state.folder
        self._unwritten: list[list[Any]] = []
        self._versions = provenance.versions()
        self._git_commit = provenance.git_commit()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_result(state, "running")  # first: it is what makes a folder that of a run
        self.lines = self._keep_metrics(lines)  # of metrics.csv, below its header
        self._write_matrix(state)

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        """Losses, for metrics.csv."""
        self._unwritten += [[state.task, state.iteration, name, value] for name, value in losses.items()]

    def samples(self, state: RunState, samples: Samples) -> None:
        """Shares of a generator's samples that are recognised, and of real images, for metrics.csv."""
        shares = {f"recognised/task_{number}": share for number, share in enumerate(samples.recognised, start=1)}
        self.losses(state, shares | {"recognised/real": samples.real})

    def row(self, state: RunState) -> None:
        """All files, as far as the run has come."""
        self._flush()
        self._write_matrix(state)
        self._write_result(state, "running")

    def save(self, state: RunState) -> None:
        """All losses so far are on disk when it returns, so a run continued from there misses none."""
        self._flush()

    def finish(self, state: RunState) -> None:
        """The run is complete, and everything else has been done."""
        self._flush()
        self._write_result(state, "finished")

    def interrupt(self, state: RunState, reason: str) -> None:
        """The run was asked to end and can continue. Does not raise OSError, as `fail`."""
        self._end(state, "interrupted", reason)

    def fail(self, state: RunState, error: str) -> None:
        """The run ended by `error`. Does not raise OSError, which would hide it when the disk is full."""
        self._end(state, "failed", error)

    def _end(self, state: RunState, status: Status, error: str) -> None:
        with contextlib.suppress(OSError):
            self._flush()
        with contextlib.suppress(OSError):
            self._write_result(state, status, error)

    def _keep_metrics(self, lines: int) -> int:
        """Cuts metrics.csv back to its first `lines` losses; returns how many there are."""
        kept: list[list[str]] = []
        path = self._folder / METRICS
        if path.exists() and lines:
            with naming(path), path.open(newline="", encoding="utf-8", errors="replace") as file:
                # Only the line that a kill cut short can have fewer fields.
                rows = [row for row in csv.reader(file) if len(row) == len(COLUMNS) and row != COLUMNS]
            kept = rows[:lines]
        write_atomically(path, csv_text([COLUMNS, *kept]))
        return len(kept)

    def _flush(self) -> None:
        rows, self._unwritten = self._unwritten, []
        if not rows:
            return
        path = self._folder / METRICS
        with naming(path), path.open("a", newline="", encoding="utf-8") as file:
            file.write(csv_text(rows))
            file.flush()
            os.fsync(file.fileno())
        self.lines += len(rows)

    def _write_matrix(self, state: RunState) -> None:
        write_atomically(self._folder / MATRIX, csv_text([state.task_names, *state.matrix]))

    def _write_result(self, state: RunState, status: Status, error: str | None = None) -> None:
        values = asdict(state.facts) | {
            "schema": SCHEMA,
            "status": status,
            "error": error,
            "num_tasks": len(state.facts.tasks),
            "tasks_done": state.learned,
            "accuracy_matrix": state.matrix,
            "inferred_tasks": state.inferred,
            "metrics": state.metrics,
            "iterations": state.iterations_done,
            "wall_time_s": round(state.wall_time_s, 3),
            "train_time_s": round(state.train_time_s, 3),
            "peak_memory_mb": round(provenance.peak_memory_mb(), 1),
            "versions": self._versions,
            "git_commit": self._git_commit,
        }
        write_atomically(self._folder / RESULT, json_text(values))

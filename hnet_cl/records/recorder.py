"""The files of a run folder that other tools read: result.json, and as csv matrix, metrics and task embeddings."""

import contextlib
import csv
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hnet_cl.core.atomic_files import naming, write_atomically
from hnet_cl.core.plain_text import csv_text
from hnet_cl.records import provenance
from hnet_cl.records.embeddings import write_embeddings
from hnet_cl.records.logger import Logger
from hnet_cl.records.run_folder import RESULT
from hnet_cl.records.run_result import SCHEMA, Status, json_text
from hnet_cl.records.run_state import RunState, Samples

METRICS = "metrics.csv"
COLUMNS = ["task", "iteration", "name", "value"]


class RunRecorder(Logger):
    """Keeps the files of a run folder up to date from the run's start to its end.

    result.json says "running" from construction on and is rewritten after every task. Files are replaced atomically;
    only metrics.csv is appended to.

    Args:
        state: state of the run; its folder is created if missing.
        lines: number of losses in metrics.csv at the point from which an interrupted run continues; the file is cut
            back to them.
        extended: the folder of another run from which this one continues, whose losses are copied; None for its own.

    Raises:
        OSError: the folder cannot be written (any method except `fail` and `interrupt`).
    """

    def __init__(self, state: RunState, lines: int = 0, extended: Path | None = None) -> None:
        super().__init__()
        self._folder = state.folder
        self._unwritten: list[list[Any]] = []
        self._versions = provenance.versions()
        self._git_commit = provenance.git_commit()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_result(state, "running")  # first: result.json marks the folder as a run's
        self.lines = self._keep_metrics(lines, extended or self._folder)  # of metrics.csv, below its header
        self._write_matrix(state)

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        """Buffers losses for metrics.csv."""
        self._unwritten += [[state.task, state.iteration, name, value] for name, value in losses.items()]

    def samples(self, state: RunState, samples: Samples) -> None:
        """Buffers the fractions of generated samples and of real images that are recognised, for metrics.csv."""
        shares = {f"recognised/task_{number}": share for number, share in enumerate(samples.recognised, start=1)}
        self.losses(state, shares | {"recognised/real": samples.real})

    def row(self, state: RunState) -> None:
        """Updates all files after a finished task."""
        self._flush()
        self._write_matrix(state)
        if state.embeddings is not None:
            write_embeddings(self._folder, state.embeddings)
        self._write_result(state, "running")

    def save(self, state: RunState) -> None:
        """Writes all losses so far to disk, so that a run continued from the checkpoint misses none."""
        self._flush()

    def finish(self, state: RunState) -> None:
        """Records that the run is finished; called last, after everything else is written."""
        self._flush()
        self._write_result(state, "finished")

    def interrupt(self, state: RunState, reason: str) -> None:
        """Records that the run was asked to stop and can be continued. Raises no OSError, like `fail`."""
        self._end(state, "interrupted", reason)

    def fail(self, state: RunState, error: str) -> None:
        """Records that the run failed with `error`. Raises no OSError, which would hide `error` on a full disk."""
        self._end(state, "failed", error)

    def _end(self, state: RunState, status: Status, error: str) -> None:
        with contextlib.suppress(OSError):
            self._flush()
        with contextlib.suppress(OSError):
            self._write_result(state, status, error)

    def _keep_metrics(self, lines: int, source: Path) -> int:
        """Fills metrics.csv with the first `lines` losses of the one in `source`; returns how many it now holds."""
        kept: list[list[str]] = []
        path = source / METRICS
        if path.exists() and lines:
            with naming(path), path.open(newline="", encoding="utf-8", errors="replace") as file:
                # A line can have fewer fields only if the process was killed while writing it.
                rows = [row for row in csv.reader(file) if len(row) == len(COLUMNS) and row != COLUMNS]
            kept = rows[:lines]
        write_atomically(self._folder / METRICS, csv_text([COLUMNS, *kept]))
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
        write_atomically(self._folder / f"{state.score.matrix}.csv", csv_text([state.task_names, *state.matrix]))

    def _write_result(self, state: RunState, status: Status, error: str | None = None) -> None:
        values = asdict(state.facts) | {
            "schema": SCHEMA,
            "status": status,
            "error": error,
            "num_tasks": len(state.facts.tasks),
            "tasks_done": state.learned,
            state.score.matrix: state.matrix,
            "inferred_tasks": state.inferred,
            "certified_matrix": state.certified,
            "window": [asdict(point) for point in state.window],
            "metrics": state.metrics,
            "iterations": state.iterations_done,
            "wall_time_s": round(state.wall_time_s, 3),
            "train_time_s": round(state.train_time_s, 3),
            "peak_memory_mb": round(provenance.peak_memory_mb(), 1),
            "memory_bytes": state.memory,
            "versions": self._versions,
            "git_commit": self._git_commit,
        }
        write_atomically(self._folder / RESULT, json_text(values))

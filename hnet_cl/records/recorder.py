"""The files of a run folder that other tools read: result.json, accuracy_matrix.csv and metrics.csv."""

import contextlib
import csv
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from hnet_cl.core.atomic_files import naming, write_atomically
from hnet_cl.core.plain_text import csv_text
from hnet_cl.records import metrics, provenance
from hnet_cl.records.run_folder import RESULT
from hnet_cl.records.run_result import SCHEMA, json_text

MATRIX = "accuracy_matrix.csv"
METRICS = "metrics.csv"
COLUMNS = ["task", "iteration", "name", "value"]


@dataclass(frozen=True)
class RunFacts:
    """What is known about a run before it starts; each field is a key of result.json.

    Attributes:
        config_id: identity of the resolved configuration.
        benchmark: name of the benchmark, as `scenario` and `method` of theirs.
        overrides: the command line's overrides, as typed.
        parameters: numbers of weights `trainable` and `target`, and their `compression_ratio`.
        data: `name`, `source` and `checksum` of the data.
        in_shape: shape of one network input.
        tasks: `name` of each task and names of its `classes`, in the labels' order.
        device: where it runs, e.g. cpu.
        command: the whole command line.
    """

    config_id: str
    benchmark: str
    scenario: str
    method: str
    seed: int
    overrides: Sequence[str]
    parameters: Mapping[str, float]
    data: Mapping[str, str]
    in_shape: Sequence[int]
    tasks: Sequence[Mapping[str, Any]]
    device: str
    command: str


@dataclass(frozen=True)
class Progress:
    """How far a run had come at a checkpoint: what a recorder needs to go on from there.

    Attributes:
        matrix: finished rows of the accuracy matrix.
        inferred: counts of inferred tasks after the last of them.
        recognised: shares of samples and of real images that were recognised then, for learners with a generator.
        iteration: iterations done of the task after those.
        iterations: iterations done over all tasks.
        losses: lines of metrics.csv below its header.
        wall_time_s: time since the start, without the time between an interruption and its continuation.
        train_time_s: the part of it spent training, without evaluation.
    """

    matrix: Sequence[Sequence[float | None]] = ()
    inferred: Sequence[Sequence[int]] | None = None
    recognised: Sequence[float] | None = None
    iteration: int = 0
    iterations: int = 0
    losses: int = 0
    wall_time_s: float = 0.0
    train_time_s: float = 0.0


class RunRecorder:
    """Keeps the files of a run folder true from the run's start to its end.

    result.json says "running" from construction on and is renewed after every task. Every whole file is
    replaced at once; metrics.csv, which only grows, is appended to.

    Args:
        folder: the run folder; made if missing.
        facts: what is known at the start.
        task_names: (T,) names of the tasks, the header of accuracy_matrix.csv.
        yardstick: what the accuracies are measured against.
        start: where an interrupted run continues (see `progress`); metrics.csv is cut back to it.

    Raises:
        OSError: the folder cannot be written (any method but `fail`).
    """

    def __init__(
        self,
        folder: Path,
        facts: RunFacts,
        task_names: Sequence[str],
        yardstick: metrics.Yardstick,
        start: Progress | None = None,
    ) -> None:
        start = start or Progress()
        self._folder = folder
        self._facts = facts
        self._task_names = list(task_names)
        self._yardstick = yardstick
        self._matrix = [list(row) for row in start.matrix]
        self._inferred = start.inferred
        self._recognised = self._recognised_next = start.recognised
        self._iteration = start.iteration
        self._earlier_iterations = start.iterations - start.iteration
        self._started = time.perf_counter() - start.wall_time_s
        self._train_time_s = start.train_time_s
        self._training_since: float | None = None
        self._unwritten: list[list[Any]] = []
        self._versions = provenance.versions()
        self._git_commit = provenance.git_commit()
        folder.mkdir(parents=True, exist_ok=True)
        self._write_result("running")  # first: it is what makes a folder that of a run
        self._lines = self._keep_metrics(start.losses)
        self._write_matrix()

    def begin_task(self, task: int, iteration: int) -> None:
        """Training of `task` starts, or continues after `iteration` iterations."""
        self._iteration = iteration
        self._training_since = time.perf_counter()

    def losses(self, task: int, iteration: int, losses: Mapping[str, float]) -> None:
        """Named losses of an iteration (counted from 1 within the task), for metrics.csv."""
        self._iteration = iteration
        self._unwritten += [[task, iteration, name, value] for name, value in losses.items()]

    def end_task(self, task: int) -> None:
        """Training of `task` is over; what follows until `row` is evaluation."""
        self._train_time_s = self._train_time()
        self._training_since = None

    def samples(self, task: int, pictures: np.ndarray | None, recognised: Sequence[float], real: float) -> None:
        """Shares of a generator's samples of tasks 0 to `task` that are recognised, and of real images."""
        self._recognised_next = [fmean(recognised), real]
        shares = {f"recognised/task_{number}": share for number, share in enumerate(recognised, start=1)}
        self.losses(task, self._iteration, shares | {"recognised/real": real})

    def row(
        self, task: int, accuracies: Sequence[float | None], inferred: Sequence[Sequence[int]] | None = None
    ) -> None:
        """Row `task` of the accuracy matrix: (T,) fractions, None where not evaluated; and (T, T) counts of tasks."""
        self._matrix.append(list(accuracies))
        self._inferred = inferred
        self._recognised = self._recognised_next
        self._earlier_iterations += self._iteration
        self._iteration = 0
        self._flush()
        self._write_matrix()
        self._write_result("running")

    def progress(self, iteration: int) -> Progress:
        """What a checkpoint after `iteration` iterations of the current task must keep; 0 after `row`.

        All losses so far are on disk when it returns, so a run continued from it misses none.
        """
        self._iteration = iteration
        self._flush()
        return Progress(
            matrix=[list(row) for row in self._matrix],
            inferred=self._inferred,
            recognised=self._recognised,
            iteration=iteration,
            iterations=self._earlier_iterations + iteration,
            losses=self._lines,
            wall_time_s=time.perf_counter() - self._started,
            train_time_s=self._train_time(),
        )

    def finish(self) -> None:
        """The run is complete."""
        self._flush()
        self._write_result("finished")

    def interrupt(self, reason: str) -> None:
        """The run was asked to end and can continue. Does not raise OSError, as `fail`."""
        self._end("interrupted", reason)

    def fail(self, error: str) -> None:
        """The run ended by `error`. Does not raise OSError, which would hide it when the disk is full."""
        self._end("failed", error)

    def _end(self, status: str, error: str) -> None:
        with contextlib.suppress(OSError):
            self._flush()
        with contextlib.suppress(OSError):
            self._write_result(status, error)

    def _train_time(self) -> float:
        running = 0.0 if self._training_since is None else time.perf_counter() - self._training_since
        return self._train_time_s + running

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
        self._lines += len(rows)

    def _write_matrix(self) -> None:
        write_atomically(self._folder / MATRIX, csv_text([self._task_names, *self._matrix]))

    def _write_result(self, status: str, error: str | None = None) -> None:
        values = asdict(self._facts) | {
            "schema": SCHEMA,
            "status": status,
            "error": error,
            "num_tasks": len(self._task_names),
            "tasks_done": len(self._matrix),
            "accuracy_matrix": self._matrix,
            "inferred_tasks": self._inferred,
            "metrics": metrics.summary(self._matrix, self._yardstick, self._inferred, self._recognised),
            "iterations": self._earlier_iterations + self._iteration,
            "wall_time_s": round(time.perf_counter() - self._started, 3),
            "train_time_s": round(self._train_time(), 3),
            "peak_memory_mb": round(provenance.peak_memory_mb(), 1),
            "versions": self._versions,
            "git_commit": self._git_commit,
        }
        write_atomically(self._folder / RESULT, json_text(values))

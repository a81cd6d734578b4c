"""The state of a run: all that is known of it so far, in one place that every logger reads."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hnet_cl.records.metrics import TestSetFacts
from hnet_cl.records.metrics_table import Evidence, summary
from hnet_cl.records.run_result import Status

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class RunFacts:
    """What is known about a run before it starts; each field is a key of result.json.

    Attributes:
        config_id: identity of the resolved configuration.
        benchmark: name of the benchmark, as `scenario` and `method` of theirs.
        overrides: the command line's overrides, as typed.
        target: name of the target network.
        preset: name of the preset whose settings the method has; None if it has its own.
        parameters: numbers of weights `trainable`, of the `target` and `generated` (None without a hypernetwork), and
            the `compression_ratio` of the first two.
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
    target: str | None
    preset: str | None
    seed: int
    overrides: Sequence[str]
    parameters: Mapping[str, float | None]
    data: Mapping[str, str]
    in_shape: Sequence[int]
    tasks: Sequence[Mapping[str, Any]]
    device: str
    command: str


@dataclass(frozen=True)
class Progress:
    """How far a run had come at a checkpoint: what a run needs to go on from there.

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


@dataclass(frozen=True)
class Samples:
    """What a generator makes of the tasks so far.

    Attributes:
        pictures: (T, n, C, H, W) in 0..1, NaN where there is none; None if samples are no images.
        recognised: (T,) share of each task's samples that are recognised.
        real: share of real images that are.
    """

    pictures: "np.ndarray | None"
    recognised: Sequence[float]
    real: float


class RunState:
    """What is known of a run so far. The run's log keeps it (`hnet_cl.records.run_log`); loggers read it.

    Attributes:
        folder: the run folder.
        facts: what was known at the start.
        config: the resolved configuration.
        iterations: (T,) iterations of each task.
        yardstick: what the accuracies are measured against.
        status: `running` until the run ends.
        error: why it did not finish; None as long as nothing is wrong.
        matrix: finished rows of the accuracy matrix: fractions (T,), None where not evaluated.
        inferred: (T, T) counts of inferred tasks after the last finished task; None where tasks are not inferred.
        recognised: mean shares of samples and of real images that were recognised then; None without a generator.
        task: the task that is learned or evaluated, from 0.
        iteration: iterations of it that are done; 0 once its row is there.
    """

    def __init__(
        self,
        folder: Path,
        facts: RunFacts,
        config: Mapping[str, Any],
        iterations: Sequence[int],
        test_sets: TestSetFacts,
        start: Progress | None = None,
    ) -> None:
        start = start or Progress()
        self.folder = folder
        self.facts = facts
        self.config = config
        self.iterations = list(iterations)
        self.test_sets = test_sets
        self.status: Status = "running"
        self.error: str | None = None
        self.matrix = [list(row) for row in start.matrix]
        self.inferred = start.inferred
        self.recognised = start.recognised
        self.task = len(self.matrix)
        self.iteration = start.iteration
        self._samples: Samples | None = None
        self._before = [0, *accumulate(iterations)]
        self._started = time.perf_counter() - start.wall_time_s
        self._trained_s = start.train_time_s
        self._training_since: float | None = None

    @property
    def task_names(self) -> list[str]:
        """(T,) names of the tasks."""
        return [task["name"] for task in self.facts.tasks]

    @property
    def learned(self) -> int:
        """Number of tasks that are learned and evaluated."""
        return len(self.matrix)

    @property
    def iterations_done(self) -> int:
        """Iterations over all tasks."""
        return self._before[self.learned] + self.iteration

    @property
    def iterations_in_all(self) -> int:
        """Iterations of the whole run."""
        return self._before[-1]

    @property
    def wall_time_s(self) -> float:
        """Seconds since the start, without those between an interruption and the continuation."""
        return time.perf_counter() - self._started

    @property
    def train_time_s(self) -> float:
        """The part of them spent training, without evaluation."""
        running = 0.0 if self._training_since is None else time.perf_counter() - self._training_since
        return self._trained_s + running

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        """All metrics after the last finished task, as fractions, by the names in `metrics_table`."""
        return summary(Evidence(self.matrix, self.test_sets, self.inferred, self.recognised))

    def begin_task(self, task: int, iteration: int) -> None:
        """Notes that training of `task` starts, or continues after `iteration` iterations."""
        self.task, self.iteration = task, iteration
        self._training_since = time.perf_counter()

    def end_task(self) -> None:
        """Notes that training of the task is over; what follows until `row` is evaluation."""
        self._trained_s = self.train_time_s
        self._training_since = None

    def sampled(self, samples: Samples) -> None:
        """Notes samples; they count as soon as the task's row is there."""
        self._samples = samples

    def row(self, accuracies: Sequence[float | None], inferred: Sequence[Sequence[int]] | None) -> None:
        """Notes a row of the accuracy matrix, (T,) fractions, and (T, T) counts of inferred tasks."""
        self.matrix.append(list(accuracies))
        self.inferred = inferred
        self.iteration = 0
        if self._samples is not None:
            self.recognised = [fmean(self._samples.recognised), self._samples.real]
        self.__dict__.pop("metrics", None)  # computed anew when asked for

    def progress(self, losses: int) -> Progress:
        """Returns what a checkpoint must keep, `losses` being the lines of metrics.csv."""
        return Progress(
            matrix=[list(row) for row in self.matrix],
            inferred=self.inferred,
            recognised=self.recognised,
            iteration=self.iteration,
            iterations=self.iterations_done,
            losses=losses,
            wall_time_s=self.wall_time_s,
            train_time_s=self.train_time_s,
        )

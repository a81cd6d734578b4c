"""The state of a run so far, which every logger reads."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hnet_cl.core.scores import ACCURACY, SCORES, Score
from hnet_cl.records.metrics import BenchmarkFacts, WindowPoint
from hnet_cl.records.metrics_table import Evidence, summary
from hnet_cl.records.run_result import Status

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class RunFacts:
    """Facts about a run that are known before it starts; each field is a key of result.json.

    Attributes:
        config_id: identity of the resolved configuration.
        benchmark: name of the benchmark; likewise `scenario` and `method`.
        dataset: name of the dataset; of a benchmark without one, the name of its data.
        overrides: the command line's overrides, as typed.
        target: name of the target network.
        preset: name of the preset that the method's settings come from; None if there is none.
        seed: seed of the run.
        parameters: numbers of weights: all that are `trainable`, those of the `target` network, and those that are
            `generated` (None without a hypernetwork); and the `compression_ratio` of the first two.
        data: `name`, `source` and `checksum` of the data.
        in_shape: shape of one network input.
        tasks: `name` of each task and names of its `classes`, in the order of their labels.
        device: device on which the run is trained, e.g. cpu.
        command: the whole command line.
        score: name of the score in the matrix.
    """

    config_id: str
    benchmark: str
    dataset: str
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
    score: str = ACCURACY.name


@dataclass(frozen=True)
class Progress:
    """The progress of a run at a checkpoint, from which the run can be continued.

    Attributes:
        matrix: finished rows of the matrix of scores.
        inferred: (T, T) counts of inferred tasks after the last finished task.
        recognised: mean fractions of samples and of real images that were recognised after that task, for learners with
            a generator.
        memory: bytes that the learner keeps after that task, in all (`total`) and by part.
        certified: finished rows of the matrix of certified accuracies, of learners that have them.
        window: the fields of each `WindowPoint` so far.
        iteration: iterations done of the current task.
        iterations: iterations done over all tasks.
        losses: number of lines of metrics.csv below its header.
        wall_time_s: seconds since the start, without those between an interruption and its continuation.
        train_time_s: seconds of these spent on training rather than evaluation.
    """

    matrix: Sequence[Sequence[float | None]] = ()
    inferred: Sequence[Sequence[int]] | None = None
    recognised: Sequence[float] | None = None
    memory: Mapping[str, int] | None = None
    certified: Sequence[Sequence[float | None]] = ()
    window: Sequence[Mapping[str, Any]] = ()
    iteration: int = 0
    iterations: int = 0
    losses: int = 0
    wall_time_s: float = 0.0
    train_time_s: float = 0.0


@dataclass(frozen=True)
class Samples:
    """Samples that a generator draws for the T tasks so far, and how many of them a classifier recognises.

    Attributes:
        pictures: (T, n, C, H, W) in 0..1, NaN where a picture is missing; None if samples are not images.
        recognised: (T,) fraction of each task's samples that are recognised.
        real: fraction of real images that are recognised.
    """

    pictures: "np.ndarray | None"
    recognised: Sequence[float]
    real: float


class RunState:
    """The state of a run so far. The run's log (`hnet_cl.records.run_log`) updates it; loggers read it.

    Attributes:
        folder: the run folder.
        facts: what was known before the start.
        config: the resolved configuration.
        iterations: (T,) number of iterations of each task.
        benchmark_facts: facts about the test sets that put accuracies into perspective; None for other scores.
        status: `running` until the run ends.
        error: why the run did not finish; None as long as nothing has gone wrong.
        matrix: finished rows (T,) of the matrix of scores, None where not evaluated.
        inferred: (T, T) counts of inferred tasks after the last finished task; None where tasks are not inferred.
        recognised: mean fractions of samples and of real images that were recognised after that task; None without a
            generator.
        memory: bytes that the learner keeps after that task, in all (`total`) and by part.
        embeddings: (T, E) embeddings of the tasks so far, set by `row`; None for learners without any.
        certified: finished rows (T,) of the matrix of certified accuracies; none if the learner proves nothing.
        window: tests of old tasks in the middle of tasks so far.
        training_accuracy: on the batch whose losses came last, a fraction; None where nobody knows it.
        task: the task that is being trained or evaluated, from 0.
        iteration: iterations done of the current task; 0 once its row is added.
    """

    def __init__(
        self,
        folder: Path,
        facts: RunFacts,
        config: Mapping[str, Any],
        iterations: Sequence[int],
        benchmark_facts: BenchmarkFacts | None,
        start: Progress | None = None,
    ) -> None:
        start = start or Progress()
        self.folder = folder
        self.facts = facts
        self.config = config
        self.iterations = list(iterations)
        self.benchmark_facts = benchmark_facts
        self.status: Status = "running"
        self.error: str | None = None
        self.matrix = [list(row) for row in start.matrix]
        self.inferred = start.inferred
        self.recognised = start.recognised
        self.memory = start.memory
        self.embeddings: Sequence[Sequence[float]] | None = None
        self.certified = [list(row) for row in start.certified]
        self.window = [WindowPoint(**point) for point in start.window]
        self.training_accuracy: float | None = None
        self.task = len(self.matrix)
        self.iteration = start.iteration
        self._samples: Samples | None = None
        self._before = [0, *accumulate(iterations)]
        self._started = time.perf_counter() - start.wall_time_s
        self._trained_s = start.train_time_s
        self._training_since: float | None = None

    @property
    def score(self) -> Score:
        """Returns the score in the matrix."""
        return SCORES[self.facts.score]

    @property
    def task_names(self) -> list[str]:
        """Returns the (T,) names of the tasks."""
        return [task["name"] for task in self.facts.tasks]

    @property
    def learned(self) -> int:
        """Returns the number of tasks that have been learned and evaluated."""
        return len(self.matrix)

    @property
    def iterations_done(self) -> int:
        """Returns the number of iterations done so far, over all tasks."""
        return self._before[self.learned] + self.iteration

    @property
    def iterations_in_all(self) -> int:
        """Returns the number of iterations of the whole run."""
        return self._before[-1]

    @property
    def wall_time_s(self) -> float:
        """Returns the seconds since the start, without those between an interruption and its continuation."""
        return time.perf_counter() - self._started

    @property
    def train_time_s(self) -> float:
        """Returns the seconds spent on training, without evaluation."""
        running = 0.0 if self._training_since is None else time.perf_counter() - self._training_since
        return self._trained_s + running

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        """Returns all metrics after the last finished task, as fractions, by the names in `metrics_table`."""
        total = None if self.memory is None else self.memory["total"]
        known = self.benchmark_facts, self.inferred, self.recognised
        return summary(
            Evidence(self.matrix, *known, score=self.score, memory=total, window=self.window, certified=self.certified)
        )

    def begin_task(self, task: int, iteration: int) -> None:
        """Notes that training on `task` starts, or continues after `iteration` iterations."""
        self.task, self.iteration = task, iteration
        self._training_since = time.perf_counter()

    def tested(self, iteration: int, scores: Sequence[float], took_s: float) -> None:
        """Adds the scores on old tasks after an iteration; the seconds that testing took do not count as training."""
        self.iteration = iteration
        self.window.append(WindowPoint(self.task, iteration, list(scores)))
        if self._training_since is not None:
            self._training_since += took_s

    def end_task(self) -> None:
        """Notes that training on the task has ended; what follows until `row` is evaluation."""
        self._trained_s = self.train_time_s
        self._training_since = None

    def sampled(self, samples: Samples) -> None:
        """Notes samples; they enter the metrics together with the task's row."""
        self._samples = samples

    def certify(self, shares: Sequence[float | None]) -> None:
        """Adds a row (T,) to the matrix of certified accuracies; `row` follows."""
        self.certified.append(list(shares))

    def row(
        self,
        scores: Sequence[float | None],
        inferred: Sequence[Sequence[int]] | None,
        kept_bytes: Mapping[str, int] | None = None,
        embeddings: Sequence[Sequence[float]] | None = None,
    ) -> None:
        """Adds a row (T,) to the matrix of scores, and replaces the (T, T) counts of inferred tasks.

        `kept_bytes` are those that the learner keeps now, by part; `embeddings` are those of the tasks so far.
        """
        self.matrix.append(list(scores))
        if kept_bytes is not None:
            self.memory = {"total": sum(kept_bytes.values()), **kept_bytes}
        self.inferred = inferred
        self.embeddings = embeddings
        self.iteration = 0
        if self._samples is not None:
            self.recognised = [fmean(self._samples.recognised), self._samples.real]
        self.__dict__.pop("metrics", None)  # recomputed on the next access

    def progress(self, losses: int) -> Progress:
        """Returns the progress that a checkpoint must keep; `losses` is the number of losses in metrics.csv."""
        return Progress(
            matrix=[list(row) for row in self.matrix],
            inferred=self.inferred,
            recognised=self.recognised,
            memory=self.memory,
            certified=[list(row) for row in self.certified],
            window=[asdict(point) for point in self.window],
            iteration=self.iteration,
            iterations=self.iterations_done,
            losses=losses,
            wall_time_s=self.wall_time_s,
            train_time_s=self.train_time_s,
        )

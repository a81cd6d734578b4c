"""The table of all metrics: everything that shows, compares or optimises metrics takes them from here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from hnet_cl.core.scores import ACCURACY, MSE, NMSE, Score
from hnet_cl.records import metrics
from hnet_cl.records.metrics import BenchmarkFacts, Matrix, WindowPoint
from hnet_cl.records.other_libraries import LIBRARIES

ERRORS = (MSE, NMSE)
TWO_TASKS = "defined from two tasks on"
MB = 1e6  # bytes
WINDOW = "measured with training.eval_window, from two tasks on"
SAMPLES = "measured for methods with a generator whose samples can be judged"


@dataclass(frozen=True)
class Evidence:
    """The data from which metrics are computed.

    Attributes:
        matrix: finished rows of the matrix of scores.
        test_sets: facts about the benchmark's test sets; None where only a result.json is available.
        inferred: (T, T) counts of inferred tasks after the last finished task, for methods that infer the task.
        recognised: mean fractions of generated samples and of real images that a classifier recognised after that task,
            for methods with a generator.
        scratch: matrix of the run from scratch that `transfer` compares with.
        score: what the matrix holds.
        memory: bytes that the method keeps after the last finished task.
        window: tests of old tasks in the middle of tasks.
        certified: finished rows of the matrix of certified accuracies, for methods that prove answers.
    """

    matrix: Matrix
    benchmark_facts: BenchmarkFacts | None = None
    inferred: Sequence[Sequence[int]] | None = None
    recognised: Sequence[float] | None = None
    scratch: Matrix | None = None
    score: Score = ACCURACY
    memory: float | None = None
    window: Sequence[WindowPoint] = ()
    certified: Matrix = ()


@dataclass(frozen=True)
class Quantity:
    """A number that describes a run, and how it is shown.

    Attributes:
        name: its key.
        title: its common name.
        meaning: what it is, in a few words.
        unit: unit in which it is shown: % for fractions, points (percentage points) for differences of fractions, MB
            (10^6 bytes) for bytes.
    """

    name: str
    title: str
    meaning: str
    unit: str

    @property
    def with_unit(self) -> str:
        """Returns title and unit."""
        return self.title + self._in_unit

    @property
    def described(self) -> str:
        """Returns title, meaning and unit."""
        return self.labelled + self._in_unit

    @property
    def labelled(self) -> str:
        """Returns title and meaning."""
        return f"{self.title} ({self.meaning})" if self.meaning else self.title

    @property
    def _in_unit(self) -> str:
        return f" in {self.unit}" if self.unit else ""

    def shown(self, value: float) -> str:
        """Returns the value as a number in the unit, without the unit's name."""
        if self.unit == "points":
            return f"{round(100 * value, 2) + 0.0:+.2f}"  # no -0.00
        return f"{100 * value:.2f}" if self.unit == "%" else self._rounded(value, value)

    def in_unit(self, value: float | None) -> str:
        """Returns the value with its unit, or a dash."""
        return "-" if value is None else f"{self.shown(value)} {self.unit}".rstrip()

    def shown_width(self, value: float, of: float) -> str:
        """Returns a standard error in the unit, with as many decimals as the mean `of`."""
        return f"{100 * value:.2f}" if self.unit in ("%", "points") else self._rounded(value, of)

    def _rounded(self, value: float, of: float) -> str:
        """Returns the value with as many decimals as suit the size of `of`."""
        scale = MB if self.unit == "MB" else 1
        bounds = ((0, 1000), (1, 100), (2, 1), (4, 0.1))
        digits = next((digits for digits, bound in bounds if abs(of / scale) >= bound), 5)
        return f"{value / scale:.{digits}f}"


@dataclass(frozen=True)
class Metric(Quantity):
    """A quantity that says how well a run has learned; a key of `metrics` in result.json.

    Attributes:
        better: which of two values is the better one; None where neither is.
        formula: function that computes it; None where it is not defined or its evidence is missing.
        source: publication that defines it.
        needs: condition under which it is defined.
        of: runs that have it: every run, those of some methods or with some settings, those compared with another
            run, or every run of a report that asks for it.
        compared: whether a full report has a table of it.
        scores: the scores from whose matrix it is computed; runs with others do not have it.
    """

    better: Literal["higher", "lower"] | None
    formula: Callable[[Evidence], float | None]
    source: str = ""
    needs: str = ""
    of: Literal["every run", "some runs", "beside a run", "in a report"] = "every run"
    compared: bool = True
    scores: Sequence[Score] = (ACCURACY,)


def _interval(evidence: Evidence, end: int) -> float | None:
    final = metrics.acc(evidence.matrix)
    if final is None or evidence.benchmark_facts is None:
        return None
    return metrics.interval(final, evidence.benchmark_facts.examples[len(evidence.matrix) - 1])[end]


def _majority(evidence: Evidence) -> float | None:
    finished = evidence.benchmark_facts.majority[: len(evidence.matrix)] if evidence.benchmark_facts else ()
    return fmean(finished) if finished else None


def _recognised(evidence: Evidence, which: int) -> float | None:
    return evidence.recognised[which] if evidence.recognised else None


def _of_library(library: str, name: str, formula: Callable[[Matrix], float | None]) -> Metric:
    """Returns what another library calls by the name of one of our metrics."""
    return Metric(
        *(f"{name.lower()}_{library.lower()}", f"{name} of {library}", "as its code computes it", "points"),
        "higher" if name == "BWT" else "lower",
        *(lambda run: formula(run.matrix), library, TWO_TASKS, "in a report"),
        compared=False,
    )


# fmt: off
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "acc", "ACC", "mean accuracy after the last task", "%", "higher",
            lambda run: metrics.acc(run.matrix), "Lopez-Paz & Ranzato 2017 (GEM)",
        ),
        Metric(
            "acc_low", "ACC low", "lower end of the 95 % interval of ACC", "%", "higher",
            lambda run: _interval(run, 0), "Wilson 1927", compared=False,
        ),
        Metric(
            "acc_high", "ACC high", "upper end of the 95 % interval of ACC", "%", "higher",
            lambda run: _interval(run, 1), "Wilson 1927", compared=False,
        ),
        Metric(
            "during", "during", "mean accuracy right after learning", "%", "higher",
            lambda run: metrics.during(run.matrix), "von Oswald et al. 2020",
        ),
        Metric(
            "bwt", "BWT", "backward transfer", "points", "higher",
            lambda run: metrics.bwt(run.matrix), "Lopez-Paz & Ranzato 2017 (GEM)", TWO_TASKS,
        ),
        Metric(
            "forgetting", "forgetting", "best before the end, minus end", "points", "lower",
            lambda run: metrics.forgetting(run.matrix), "Chaudhry et al. 2018", TWO_TASKS,
        ),
        Metric(
            "min_acc", "min-ACC", "worst on each old task since learned, mean", "%", "higher",
            lambda run: metrics.min_acc(run.matrix, run.window), "De Lange et al. 2023", WINDOW, "some runs",
        ),
        Metric(
            "wc_acc", "WC-ACC", "newest task, and worst on old ones", "%", "higher",
            lambda run: metrics.wc_acc(run.matrix, run.window), "De Lange et al. 2023", WINDOW, "some runs",
        ),
        Metric(
            "certified", "certified ACC", "right for all weights in a task's box, mean", "%", "higher",
            lambda run: metrics.acc(run.certified), "Krukowski et al. 2024 (HyperInterval)",
            "measured for hint where the task is given", "some runs",
        ),
        Metric(
            "transfer", "transfer", "during, minus the same from scratch", "points", "higher",
            lambda run: None if run.scratch is None else metrics.transfer(run.matrix, run.scratch),
            "von Oswald et al. 2020",
            "defined beside a run from scratch with the same tasks, seed, target, training and precision",
            "beside a run",
        ),
        Metric(
            "task_inference", "task inference", "right task found", "%", "higher",
            lambda run: metrics.task_inference(run.inferred) if run.inferred else None,
            needs="measured for methods that infer the task", of="some runs",
        ),
        Metric(
            "majority", "majority", "accuracy of always the most frequent label", "%", None,
            _majority, compared=False,
        ),
        Metric(
            "recognised", "recognised", "generated samples that a judge takes for their task", "%", "higher",
            lambda run: _recognised(run, 0), needs=SAMPLES, of="some runs",
        ),
        Metric(
            "recognised_real", "recognised real", "the same of real test images", "%", None,
            lambda run: _recognised(run, 1), needs=SAMPLES, of="some runs", compared=False,
        ),
        Metric(
            "mse", "MSE", "mean squared error after the last task", "", "lower",
            lambda run: metrics.acc(run.matrix), scores=(MSE,),
        ),
        Metric(
            "nmse", "NMSE", "MSE over the labels' variance, after the last task", "", "lower",
            lambda run: metrics.acc(run.matrix), scores=(NMSE,),
        ),
        Metric(
            "error_during", "error during", "mean error right after learning", "", "lower",
            lambda run: metrics.during(run.matrix), scores=ERRORS,
        ),
        Metric(
            "error_growth", "error growth", "at the end, minus right after learning", "", "lower",
            lambda run: metrics.bwt(run.matrix), "minus BWT of Lopez-Paz & Ranzato 2017 (GEM)", TWO_TASKS,
            scores=ERRORS,
        ),
        Metric(
            "memory", "memory", "kept after the last task", "MB", "lower",
            lambda run: run.memory, needs="a newer version", scores=(ACCURACY, *ERRORS),
        ),
        *(
            _of_library(library, name, formula)
            for library, formulas in LIBRARIES.items()
            for name, formula in zip(("forgetting", "BWT"), formulas, strict=True)
        ),
    )
}
# fmt: on


def of_a_run() -> list[Metric]:
    """Returns the metrics that need no other run: those in the result.json of a run with some score."""
    return [metric for metric in METRICS.values() if metric.of in ("every run", "some runs")]


def compared() -> list[str]:
    """Returns the names of the metrics that a full report tabulates."""
    return [name for name, metric in METRICS.items() if metric.compared]


def summary(evidence: Evidence) -> dict[str, float | None]:
    """Computes the metrics in a run's result.json, as fractions, by their keys there; None where not defined.

    Raises:
        ValueError: a finished task has no accuracy.
    """
    return {metric.name: metric.formula(evidence) for metric in of_a_run() if evidence.score in metric.scores}


def computed(evidence: Evidence) -> dict[str, float]:
    """Computes the metrics that the evidence suffices for, as fractions by name; the others are left out.

    Raises:
        ValueError: a finished task has no accuracy.
    """
    defined = {name: metric for name, metric in METRICS.items() if evidence.score in metric.scores}
    values = {name: metric.formula(evidence) for name, metric in defined.items()}
    return {name: value for name, value in values.items() if value is not None}


def lines(values: Mapping[str, float | None], score: Score = ACCURACY) -> list[tuple[str, str]]:
    """Returns the metrics to show for a run with some score, as pairs of label and value.

    For an undefined metric the value says what it needs; if only some runs have the metric, it is left out.
    """
    found = []
    for metric in (metric for metric in of_a_run() if score in metric.scores):
        value = values.get(metric.name)
        if value is not None:
            found.append((metric.labelled, metric.in_unit(value)))
        elif metric.of == "every run":
            found.append((metric.labelled, metric.needs or "-"))
    return found

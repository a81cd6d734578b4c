"""Tests of old tasks while the next one is learned: when, on what, and that nothing else depends on them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import CPU, adam, blobs, head_map, learner, rows_of, same_state, small_target, training
from marks import few
from pydantic import ValidationError
from test_checkpointing import BENCHMARK, LEARNERS, Stop, die_at, make
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.methods.base import Context, Learner, Prediction
from hnet_cl.training.checkpointing import Checkpoints
from hnet_cl.training.listener import Listener
from hnet_cl.training.window import Window

EXAMPLES = 10
Point = tuple[int, int, list[float]]


class Points(Listener):
    """A log of all tests of old tasks."""

    def __init__(self) -> None:
        self.seen: list[Point] = []

    def window(self, task: int, iteration: int, scores: Sequence[float], took_s: float) -> None:
        assert took_s >= 0
        self.seen.append((task, iteration, list(scores)))


class Scripted(Learner):
    """After step s of task t it is wrong on the first `wrong(t, s, old)` of the ten examples of an old task."""

    def __init__(self, wrong: Callable[[int, int, int], int], tasks: int = 3) -> None:
        super().__init__(None, Context(head_map("cl1", [2] * tasks), small_target, adam, 0, CPU, (1,)))
        self.wrong = wrong
        self.steps = 0

    def begin_task(self, tasks: Sequence[Task]) -> None:
        super().begin_task(tasks)
        self.steps = 0

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.steps += 1
        return {"loss": torch.zeros(())}

    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        assert task is not None
        numbers = inputs[:, 0].long()
        wrong = self.wrong(self.latest, self.steps, task) if task < self.latest else 0
        return Prediction(self.heads.label(torch.where(numbers < wrong, 1, 0), task))

    @property
    def target_size(self) -> int:
        return 0


def numbered(count: int = 3) -> list[Task]:
    """Tasks whose examples are their own numbers, all of class 0."""
    split = Split(torch.arange(float(EXAMPLES))[:, None], torch.zeros(EXAMPLES, dtype=torch.long), torch.clone)
    return [Task(number, f"task {number}", split, split, 2) for number in range(count)]


def curve(made: Learner, tasks: Sequence[Task], **changes: Any) -> tuple[list[Point], list[Any]]:
    """The tests of old tasks in a training, and the rows of the matrix."""
    points = Points()
    return points.seen, list(rows_of(made, tasks, training(log_every=100, **changes), [points]))


def test_a_gap_that_closes_by_hand() -> None:
    """In each task an old one loses s + 1 of ten answers by step s = 2, 4, and two for good."""
    made = Scripted(lambda task, step, old: {2: 3 + old, 4: 5 - old}.get(step, 2))
    points, rows = curve(made, numbered(), iterations=9, eval_window=6, eval_every=2)
    assert points == [
        (1, 2, [0.7]),
        (1, 4, [0.5]),
        (1, 6, [0.8]),
        (2, 2, [0.7, 0.6]),
        (2, 4, [0.5, 0.6]),
        (2, 6, [0.8, 0.8]),
    ]
    assert [row.scores for row in rows] == [[1.0, None, None], [0.8, 1.0, None], [0.8, 0.8, 1.0]]


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({}, []),
        ({"eval_window": 3, "eval_every": 1}, [1, 2, 3]),
        ({"eval_window": 7, "eval_every": 3}, [3, 6]),
        ({"eval_window": 4, "eval_every": 4}, [4]),
        ({"eval_window": 1000, "eval_every": 5}, [5, 10]),
        ({"eval_window": 1000, "eval_every": 11}, []),
    ],
)
def test_where_old_tasks_are_tested(changes: dict[str, int], places: list[int]) -> None:
    points, _ = curve(Scripted(lambda *_: 0, 2), numbered(2), iterations=10, **changes)
    assert points == [(1, place, [1.0]) for place in places]


def test_each_task_is_asked_once_for_as_many_examples_as_a_batch_holds() -> None:
    asked: list[tuple[int | None, int]] = []
    made = Scripted(lambda *_: 0)
    ask = made.predict

    def noted(inputs: Tensor, task: int | None = None) -> Prediction:
        asked.append((task, len(inputs)))
        return ask(inputs, task)

    made.predict = noted  # type: ignore[method-assign]
    made.begin_task(numbered())
    settings = training(eval_window=1, eval_every=1, eval_batch_size=6)
    assert Window(made, numbered(), settings).scores(1) == [1.0, 1.0]
    assert asked == [(0, 6), (0, 4), (1, 6), (1, 4)]


class Restless(nn.Sequential):
    """A network that draws random numbers in evaluation, too."""

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = super().forward(inputs)
        return logits + 0.5 * torch.randn(logits.shape)


def restless(num_outputs: int) -> nn.Module:
    return Restless(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, num_outputs))


CASES = LEARNERS | {
    "hnet restless": {"method": "hnet", "target": restless},
    "er restless": {"method": "er", "target": restless},
}


@pytest.mark.parametrize("name", few(CASES, ["finetune", "hnet restless"]))
def test_nothing_that_is_learned_depends_on_them(name: str) -> None:
    made, other = make(**CASES[name]), make(**CASES[name])
    _, rows = curve(made, BENCHMARK.tasks, iterations=6)
    points, tested = curve(other, BENCHMARK.tasks, iterations=6, eval_window=5, eval_every=2)
    assert [point[:2] for point in points] == [(1, 2), (1, 4), (2, 2), (2, 4)]
    assert rows == tested
    assert same_state(made.state_dict(), other.state_dict())


@pytest.mark.parametrize("method", ["hnet", "scratch"])
def test_the_last_test_of_a_window_is_that_of_the_row(method: str) -> None:
    """At the last step of a task both ask the same networks."""
    benchmark = blobs(spread=1.0)
    points, rows = curve(learner(method, benchmark), benchmark.tasks, iterations=8, eval_window=8, eval_every=4)
    assert [scores for task, step, scores in points if step == 8] == [rows[1].scores[:1], rows[2].scores[:2]]
    if method == "scratch":
        assert all(scores == rows[task].scores[:task] for task, _, scores in points), "it forgets nothing"


@pytest.mark.parametrize("name", few(["hnet restless", "er restless", "hnet_tir"], ["hnet restless"]))
def test_a_run_that_dies_in_the_window_has_the_same_curve(name: str, tmp_path: Path) -> None:
    settings = training(iterations=8, eval_window=6, eval_every=1)
    whole, before, after = Points(), Points(), Points()
    list(rows_of(make(**CASES[name]), BENCHMARK.tasks, settings, [whole]))
    store, dying = Checkpoints(tmp_path, "abc"), make(**CASES[name])
    with pytest.raises(Stop):
        for number, _ in enumerate(
            rows_of(dying, BENCHMARK.tasks, settings, [before], pause=die_at(store, 2, 3, dying)), 1
        ):
            store.after_task(number, dying, {})
    resumed = make(**CASES[name])
    restored = Checkpoints(tmp_path, "abc").restore(resumed)
    list(rows_of(resumed, BENCHMARK.tasks, settings, [after], restored.start))
    assert [point[:2] for point in after.seen] == [(2, 4), (2, 5), (2, 6)]
    assert before.seen + after.seen == whole.seen


def test_a_window_in_which_nothing_would_be_tested_is_refused() -> None:
    with pytest.raises(ValidationError, match="eval_every=10 is more than eval_window=5, in which nothing would be"):
        training(eval_window=5)
    assert training(eval_window=10).eval_every == 10

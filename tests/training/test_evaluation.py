"""Accuracy, from a learner whose answers are known."""

import pytest
import torch
from builders import CPU, adam, begin, blobs, head_map, learner, small_target
from torch import Tensor

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.methods.base import Learner, Prediction, Setup
from hnet_cl.training.evaluation import evaluate
from hnet_cl.training.evaluation import test as answers_of


class Oracle(Learner):
    """Answers with its input, and notes which task it was told."""

    def __init__(self, scenario: str) -> None:
        super().__init__(None, Setup(head_map(scenario, (2, 2)), small_target, adam, 0, CPU, (1,)))
        self.told: list[int | None] = []

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, inputs: Tensor, task: int | None = None) -> Prediction:
        self.told.append(task)
        return Prediction(inputs)

    @property
    def target_size(self) -> int:
        return 0


def task(number: int, answers: list[int], labels: list[int]) -> Task:
    """A task on whose test examples the oracle gives `answers`."""
    test = Split(torch.tensor(answers), torch.tensor(labels), lambda x: x)
    return Task(number, f"task {number}", test, test, 2)


@pytest.mark.parametrize(
    ("scenario", "number", "answers", "expected"),
    [
        ("cl1", 0, [0, 1, 1, 0, 1], 0.6),
        ("cl1", 1, [2, 3, 3, 2, 3], 0.6),
        ("cl2", 1, [0, 1, 1, 0, 1], 0.6),
        ("cl3", 1, [2, 3, 3, 2, 3], 0.6),
        ("cl3", 1, [0, 1, 2, 0, 1], 0.2),  # the right class of the wrong task is wrong
        ("cl3", 0, [2, 3, 3, 2, 3], 0.0),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_share_of_right_outputs(
    scenario: str, number: int, answers: list[int], expected: float, batch_size: int
) -> None:
    oracle = Oracle(scenario)
    assert answers_of(oracle, task(number, answers, [0, 1, 0, 1, 1]), batch_size)[0] == expected
    assert set(oracle.told) == {number if scenario == "cl1" else None}
    assert len(oracle.told) == -(-5 // batch_size)


def test_a_row_has_none_for_tasks_to_come() -> None:
    tasks = [task(0, [0, 1], [0, 1]), task(1, [2, 2], [0, 1])]
    assert evaluate(Oracle("cl1"), tasks, 0, 10) == ([1.0, None], None)
    assert evaluate(Oracle("cl1"), tasks, 1, 10) == ([1.0, 0.5], None)


@pytest.mark.parametrize("method", ["hnet", "finetune", "scratch"])
def test_batch_size_changes_no_answer(method: str) -> None:
    benchmark = blobs(spread=1.0)
    made = learner(method, benchmark)
    begin(made, 0)
    rows = [evaluate(made, benchmark.tasks, 0, size) for size in (1, 7, 40, 1000)]
    assert rows == [rows[0]] * 4
    assert 0 < rows[0].accuracies[0] < 1  # type: ignore[operator]

"""Accuracy, from a learner whose answers are known."""

from collections.abc import Callable

import pytest
import torch
from builders import (
    BOUNDED,
    CPU,
    METHODS,
    NEED_THE_TASK,
    WITHOUT_TARGET,
    adam,
    begin,
    blobs,
    head_map,
    learned,
    learner,
    rows_of,
    small_target,
    training,
)
from marks import thinned
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Context, Learner, Prediction
from hnet_cl.training.evaluation import evaluate
from hnet_cl.training.evaluation import test as answers_of


class Oracle(Learner):
    """Answers with its input, and notes which task it was told."""

    def __init__(self, scenario: str) -> None:
        super().__init__(None, Context(head_map(scenario, (2, 2)), small_target, adam, 0, CPU, (1,)))
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
    assert evaluate(Oracle("cl1"), tasks, 0, 10) == ([1.0, None], None, None)
    assert evaluate(Oracle("cl1"), tasks, 1, 10) == ([1.0, 0.5], None, None)


@pytest.mark.parametrize("method", ["hnet", "finetune", "scratch"])
def test_batch_size_changes_no_answer(method: str) -> None:
    benchmark = blobs(spread=1.0)
    made = learner(method, benchmark)
    begin(made, 0)
    rows = [evaluate(made, benchmark.tasks, 0, size) for size in (1, 7, 40, 1000)]
    assert rows == [rows[0]] * 4
    assert 0 < rows[0].scores[0] < 1  # type: ignore[operator]


class Brittle(nn.Module):
    """In evaluation mode, logits that are `value` for inputs on the right; all of them or the first one alone."""

    def __init__(self, num_outputs: int, value: float, every: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(2, num_outputs)
        self.value = value
        self.every = every

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(x)
        if self.training:
            return logits
        spoilt = (x[:, :1] > RIGHT) & (self.every | (torch.arange(logits.shape[1]) == 0))
        return torch.where(spoilt, self.value, logits)


RIGHT = 0.2
OF_FEATURES = {"icarl", *WITHOUT_TARGET}  # methods whose answers do not rest on the outputs of a network
OF_OUTPUTS = [method for method in METHODS if method not in OF_FEATURES | BOUNDED]
scenarios = [(m, s) for s in ("cl1", "cl2", "cl3") for m in OF_OUTPUTS if s == "cl1" or m not in NEED_THE_TASK]


def brittle(value: float, every: bool = True) -> Callable[[int], nn.Module]:
    return lambda num_outputs: Brittle(num_outputs, value, every)


@pytest.mark.parametrize(("method", "scenario"), scenarios)
@pytest.mark.parametrize("value", thinned([torch.nan, torch.inf, -torch.inf], 3))
def test_answers_that_rest_on_nan_are_no_accuracy(method: str, scenario: str, value: float) -> None:
    benchmark = blobs()
    number = int((benchmark.tasks[0].test.images[:, 0] > RIGHT).sum())
    assert 0 < number < 40
    made = learner(method, benchmark, scenario, target=brittle(value))
    line = (
        rf"^training diverged: {number} of 40 answers to test examples of blobs 0 rest on .* after task 1; use a smal"
    )
    with pytest.raises(UserError, match=line):
        list(rows_of(made, benchmark.tasks, training(iterations=1), []))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("method", ["hnet", "finetune", "scratch"])
def test_a_single_infinite_logit_is_enough(method: str, value: float) -> None:
    benchmark = blobs()
    made = learned(learner(method, benchmark, target=brittle(value, every=False)), benchmark, 1)
    number = int((benchmark.tasks[0].test.images[:, 0] > RIGHT).sum())
    for batch_size in (1, 7, 100):
        with pytest.raises(UserError, match=f"{number} of 40 answers to test examples of blobs 0"):
            evaluate(made, benchmark.tasks, 0, batch_size)


def test_a_network_that_is_not_chosen_must_be_sound_too() -> None:
    benchmark = blobs()
    made = learned(learner("hnet_ent", benchmark, "cl3"), benchmark, 2)
    assert evaluate(made, benchmark.tasks, 1, 100).inferred
    with torch.no_grad():
        made.hypernetwork.task_embeddings[0].fill_(torch.nan)  # type: ignore[operator]
    with pytest.raises(UserError, match=r"40 of 40 answers to test examples of blobs 0 rest on .* after task 2"):
        evaluate(made, benchmark.tasks, 1, 100)


@pytest.mark.parametrize("method", ["hnet_ent", "hnet_tir"])
def test_outputs_that_a_task_does_not_have_are_no_error(method: str) -> None:
    benchmark = blobs(num_tasks=2)
    benchmark.tasks = [benchmark.tasks[0], blobs(num_tasks=2, num_classes=4).tasks[1]]
    made = learner(method, benchmark, "cl3")
    *_, last = rows_of(made, benchmark.tasks, training(), [])
    assert last.inferred and all(accuracy is not None for accuracy in last.scores)
    answer = made.predict(benchmark.tasks[0].test.images)
    assert answer.logits is not None and answer.logits.isinf().any() and not answer.invalid(made.heads).any()
    own = answer.logits.clone()
    own[0, 0] = -torch.inf
    assert answer._replace(logits=own).invalid(made.heads).tolist() == [True] + [False] * 39

"""Learning without forgetting by hand."""

import pytest
import torch
from builders import TwoWeights, blobs, learned, learner, sgd, slope, two_weights
from torch import Tensor

BENCHMARK = TwoWeights()
BATCH = BENCHMARK.tasks[1].train.batch(slice(None))


@pytest.mark.parametrize(("square", "factor"), [(True, 4.0), (False, 1.0)])
def test_gradient(square: bool, factor: float) -> None:
    strength = 0.7
    made = learner("lwf", BENCHMARK, "cl2", target=two_weights, optimizer=sgd, square=square, strength=strength)
    learned(made, BENCHMARK, 1)
    made.begin_task(BENCHMARK.tasks[:2])
    teacher: Tensor = BATCH[0] @ made.network.weight.detach().T
    losses = made.step(*BATCH)
    entropy = -((teacher / 2).softmax(1) * (teacher / 2).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(losses["distillation"], factor * entropy)  # the student is the teacher still
    w = made.network.weight.detach().clone()
    made.step(*BATCH)
    difference = (BATCH[0] @ w.T / 2).softmax(1) - (teacher / 2).softmax(1)
    expected = slope(w, BENCHMARK.tasks[1].train) + strength * factor / 2 * difference.T @ BATCH[0] / 2
    torch.testing.assert_close(made.network.weight.grad, expected)


@pytest.mark.parametrize(
    ("scenario", "count", "terms"),
    [
        ("cl1", "once", [(slice(0, 2), 1), (slice(2, 4), 1)]),
        ("cl2", "once", [(slice(0, 2), 1)]),
        ("cl2", "tasks", [(slice(0, 2), 2)]),
        ("cl3", "once", [(slice(0, 4), 1)]),
        ("cl3", "tasks", [(slice(0, 4), 2)]),
    ],
)
def test_what_is_distilled_in_each_scenario(scenario: str, count: str, terms: list[tuple[slice, int]]) -> None:
    benchmark = blobs()
    made = learner("lwf", benchmark, scenario, count=count)
    made.begin_task(benchmark.tasks[:1])
    assert made._terms == []
    made.begin_task(benchmark.tasks)
    assert made._terms == terms


def test_it_forgets_less_than_fine_tuning() -> None:
    """Where old and new inputs lie in the same region, and each task has a head of its own."""
    benchmark, start = blobs(num_tasks=2), {}
    for method, changes in (("finetune", {}), ("lwf", {"strength": 5.0})):
        made = learned(learner(method, benchmark, "cl1", **changes), benchmark, 1, 60)
        inputs = benchmark.tasks[1].train.images
        before = made.predict(inputs, 0).logits.softmax(1)
        made.begin_task(benchmark.tasks)
        for _ in range(60):
            made.step(*benchmark.tasks[1].train.batch(slice(None)))
        start[method] = (made.predict(inputs, 0).logits.softmax(1) - before).abs().mean().item()
    assert start["lwf"] < start["finetune"] / 3, start

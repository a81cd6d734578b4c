"""Memory aware synapses by hand, and by autograd on a network with hidden units."""

import pytest
import torch
from builders import TwoWeights, blobs, learned, learner, sgd, slope, two_weights

BENCHMARK = TwoWeights()


def test_importance_and_penalty() -> None:
    strength = 3.0
    made = learner("mas", BENCHMARK, "cl2", target=two_weights, optimizer=sgd, strength=strength)
    expected = torch.zeros(2, 1)
    for number, task in enumerate(BENCHMARK.tasks[:2]):
        made.begin_task(BENCHMARK.tasks[: number + 1])
        for _ in range(2):
            w, anchor = made.network.weight.detach().clone(), made.penalty.anchor[0].clone()
            losses = made.step(*task.train.batch(slice(None)))
            gradient = slope(w, task.train) + 2 * strength * expected * (w - anchor)
            torch.testing.assert_close(made.network.weight.grad, gradient)
            if number:
                torch.testing.assert_close(losses["penalty"], strength * (expected * (w - anchor).square()).sum())
        made.end_task()
        x, w = task.train.images, made.network.weight.detach()
        expected = expected + (2 * (x @ w.T)[:, :, None] * x[:, None]).abs().mean(0)
        torch.testing.assert_close(made.penalty.importance[0], expected)
        torch.testing.assert_close(made.penalty.anchor[0], w)


@pytest.mark.parametrize(("scenario", "outputs"), [("cl1", slice(2, 4)), ("cl3", slice(0, 4))])
def test_every_example_counts_by_itself(scenario: str, outputs: slice) -> None:
    benchmark = blobs(train_per_class=5)
    made = learned(learner("mas", benchmark, scenario), benchmark, 1)
    made.begin_task(benchmark.tasks[:2])
    total = [torch.zeros_like(weight) for weight in made.weights]
    inputs = benchmark.tasks[1].train.images
    for x in inputs.split(1):
        length = made.network(x)[:, outputs].square().sum()
        slopes = torch.autograd.grad(length, made.weights)
        total = [sums + slope.abs() / len(inputs) for sums, slope in zip(total, slopes, strict=True)]
    torch.testing.assert_close(made.importance(), total)

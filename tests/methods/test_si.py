"""Synaptic intelligence by hand, on a network of two weights learned by plain gradient descent."""

from typing import Any

import pytest
import torch
from builders import RATE, TwoWeights, learner, sgd, slope, two_weights
from torch import Tensor

BENCHMARK = TwoWeights()


@pytest.mark.parametrize("path", ["total", "task"])
def test_path_integral_and_penalty(path: str) -> None:
    c, damping = 0.8, 0.1
    method: Any = learner(
        "si", BENCHMARK, "cl2", target=two_weights, optimizer=sgd, strength=c, damping=damping, path_gradient=path
    )
    w: Tensor = method.network.weight.detach().clone()
    importance = torch.zeros(2, 1)
    for number, task in enumerate(BENCHMARK.tasks):
        method.begin_task(BENCHMARK.tasks[: number + 1])
        start, omega = w, torch.zeros(2, 1)
        for _ in range(3):
            own = slope(w, task.train)
            total = own + 2 * c * importance * (w - start)
            value = c * (importance * (w - start).square()).sum()
            new = w - RATE * total
            omega = omega - (total if path == "total" else own) * (new - w)
            w = new
            losses = method.step(*task.train.batch(slice(None)))
            torch.testing.assert_close(method.network.weight.detach(), w)
            torch.testing.assert_close(method.omega[0], omega)
            if number:
                torch.testing.assert_close(losses["penalty"], value)
        method.end_task()
        importance = importance + omega / ((w - start).square() + damping)
        torch.testing.assert_close(method.penalty.importance[0], importance)
        torch.testing.assert_close(method.penalty.anchor[0], w)
    assert importance.gt(0).all()

"""Elastic weight consolidation by hand, on a network of two weights."""

from typing import Any

import pytest
import torch
from builders import RATE, TwoWeights, blobs, learner, same_state, sgd, slope, two_weights
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Split
from hnet_cl.methods.ewc import EWC

BENCHMARK = TwoWeights()
TASKS = BENCHMARK.tasks


def ewc(**changes: Any) -> EWC:
    """CL2 on two weights, learned by plain gradient descent."""
    return learner("ewc", BENCHMARK, "cl2", target=two_weights, optimizer=sgd, **changes)  # type: ignore[no-any-return]


def fisher(w: Tensor, data: Split) -> Tensor:
    """With the network's own labels."""
    x = data.images
    p = (x @ w.T).softmax(1)
    return ((p - nn.functional.one_hot(p.argmax(1), 2)) * x).square().mean(0)[:, None]


def step(method: EWC, data: Split) -> tuple[Tensor, dict[str, Tensor]]:
    losses = method.step(*data.batch(slice(None)))
    return method.network.weight.detach().clone(), losses  # type: ignore[union-attr,operator,return-value]


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("gamma_in_penalty", [True, False])
def test_online_penalty_and_merged_fisher(half: bool, gamma_in_penalty: bool) -> None:
    gamma, strength = 0.7, 3.0
    method = ewc(gamma=gamma, strength=strength, half=half, gamma_in_penalty=gamma_in_penalty)
    c = strength * (0.5 if half else 1) * (gamma if gamma_in_penalty else 1)
    w: Tensor = method.network.weight.detach().clone()  # type: ignore[union-attr,operator,assignment]
    importance, anchor = torch.zeros(2, 1), w
    for number in range(3):
        method.begin_task(TASKS[: number + 1])
        data = TASKS[number].train
        for _ in range(3):
            value = c * (importance * (w - anchor).square()).sum()
            w = w - RATE * (slope(w, data) + 2 * c * importance * (w - anchor))
            found, losses = step(method, data)
            torch.testing.assert_close(found, w)
            if number:
                torch.testing.assert_close(losses["penalty"], value)
        method.end_task()
        if number == 2:
            break  # the last task's Fisher information would never be used
        importance, anchor = fisher(w, data) + gamma * importance, w
        torch.testing.assert_close(method.penalties[0].importance[0], importance)  # type: ignore[union-attr,index]
    assert value > 0


def test_offline_keeps_one_fisher_for_each_task() -> None:
    method = ewc(online=False, strength=4.0)
    w: Tensor = method.network.weight.detach().clone()  # type: ignore[union-attr,operator,assignment]
    kept: list[tuple[Tensor, Tensor]] = []
    for number in range(3):
        method.begin_task(TASKS[: number + 1])
        data = TASKS[number].train
        for _ in range(2):
            pull = sum((2 * 2.0 * f * (w - anchor) for f, anchor in kept), torch.zeros(2, 1))
            w = w - RATE * (slope(w, data) + pull)
            torch.testing.assert_close(step(method, data)[0], w)
        method.end_task()
        kept.append((fisher(w, data), w))
    assert len(method.penalties) == 2, "the last task's penalty would never be used"


@pytest.mark.parametrize("samples", [1, 20])
def test_number_of_examples_in_the_fisher(samples: int) -> None:
    benchmark = blobs()
    method = learner("ewc", benchmark, fisher_samples=samples)
    method.begin_task(benchmark.tasks[:1])
    seen = []
    prepare = benchmark.tasks[0].train.batch
    object.__setattr__(benchmark.tasks[0].train, "batch", lambda index: seen.append(len(index)) or prepare(index))
    method.fisher()
    assert sum(seen) == samples


def test_without_strength_it_is_fine_tuning() -> None:
    benchmark = blobs()
    methods = [
        learner("ewc", benchmark, "cl3", strength=0.0),
        learner("finetune", benchmark, "cl3", reset_optimizer=False),
    ]
    for method in methods:
        for number, one in enumerate(benchmark.tasks):
            method.begin_task(benchmark.tasks[: number + 1])
            for _ in range(3):
                method.step(*one.train.batch(slice(0, 10)))
            method.end_task()
    ours, plain = (method.network.state_dict() for method in methods)
    assert same_state(ours, plain)


def test_fisher_of_cl3_spans_the_heads_so_far() -> None:
    benchmark = blobs()
    method = learner("ewc", benchmark, "cl3")
    for number in range(2):
        method.begin_task(benchmark.tasks[: number + 1])
        method.step(*benchmark.tasks[number].train.batch(slice(None)))
    bias = method.fisher()[-1]
    assert bias[:4].gt(0).all() and bias[4:].eq(0).all()

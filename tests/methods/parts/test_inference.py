"""Task inference by entropy."""

import math
from collections.abc import Callable

import pytest
import torch
from builders import blobs, learner, small_target
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hnet_cl.methods.parts import task_networks
from hnet_cl.methods.parts.inference import entropy, least_entropy
from hnet_cl.targets.bfloat16 import BFloat16
from hnet_cl.targets.mlp import MLP

LOGITS = st.lists(st.floats(-20, 20), min_size=1, max_size=6)


@given(LOGITS, st.floats(0.2, 5))
def test_entropy_by_its_definition(logits: list[float], temperature: float) -> None:
    weights = [math.exp(value / temperature) for value in logits]
    p = [weight / sum(weights) for weight in weights]
    expected = -sum(q * math.log(q) for q in p if q > 0)
    assert entropy(torch.tensor(logits, dtype=torch.double), temperature).item() == pytest.approx(expected, abs=1e-9)


def test_saturated_and_absent_classes() -> None:
    found = entropy(torch.tensor([[1e4, 0.0, -1e4], [0.0, 0.0, -torch.inf], [3.0, -torch.inf, -torch.inf]]))
    torch.testing.assert_close(found, torch.tensor([0.0, math.log(2), 0.0]))


def test_first_of_equals_wins_and_nan_is_not_hidden() -> None:
    flat, sharp, broken = [0.0, 0.0], [1e4, 0.0], [math.nan, 0.0]
    logits = torch.tensor([[flat, flat, broken], [sharp, flat, flat], [sharp, flat, sharp]])  # (task, example, class)
    tasks, values = least_entropy(logits, 1.0)
    assert tasks.tolist()[:2] == [1, 0]
    torch.testing.assert_close(values, torch.tensor([0.0, math.log(2), math.nan]), equal_nan=True)


def trained(scenario: str, number: int = 3, **changes: object):  # type: ignore[no-untyped-def]
    benchmark = blobs(num_tasks=number)
    method = learner("hnet_ent", benchmark, scenario, **changes)
    for last in range(number):
        method.begin_task(benchmark.tasks[: last + 1])
        for _ in range(20):
            method.step(*benchmark.tasks[last].train.batch(slice(None)))
    return benchmark, method


def convolutional(num_outputs: int) -> nn.Module:
    """Two numbers as an image of two pixels."""
    return nn.Sequential(nn.Unflatten(1, (1, 1, 2)), nn.Conv2d(1, 5, 1), nn.Tanh(), MLP((5, 1, 2), num_outputs, [5]))


def normalised_in_bfloat16(num_outputs: int) -> nn.Module:
    """Batch normalisation of vectors."""
    return BFloat16(nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, num_outputs)))


@pytest.mark.parametrize("scenario", ["cl2", "cl2 separate", "cl3"])
@pytest.mark.parametrize("group", [1, 10**9])
@pytest.mark.parametrize("target", [small_target, convolutional])
def test_predict_is_the_surest_network_of_a_plain_loop(
    target: Callable[[int], nn.Module], scenario: str, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_networks, "GROUP_NUMBERS", group)
    benchmark, method = trained(scenario, target=target)
    inputs, _ = benchmark.tasks[1].test.batch(slice(None))
    answer = method.predict(inputs)
    with torch.no_grad():
        of_tasks = [method.target(method.hypernetwork(t), inputs)[:, method.heads.own(t)] for t in range(3)]
    assert len(set(answer.task.tolist())) > 1
    for i, (output, task, value) in enumerate(zip(*answer[:3], strict=True)):
        p = [logits[i].softmax(0) for logits in of_tasks]
        direct = torch.stack([-(q * q.log()).sum() for q in p])
        assert direct.argmin() == task
        torch.testing.assert_close(value, direct.min(), rtol=1e-4, atol=1e-6)
        assert output == of_tasks[task][i].argmax() + method.heads.own(task).start


@pytest.mark.parametrize("scenario", ["cl2", "cl3"])
def test_each_task_has_its_own_statistics_in_bfloat16(scenario: str) -> None:
    benchmark, method = trained(scenario, target=normalised_in_bfloat16)
    inputs, _ = benchmark.tasks[1].test.batch(slice(None))
    answer = method.predict(inputs)
    with torch.no_grad():
        of_tasks = [method.networks.logits(inputs, t)[:, method.heads.own(t)] for t in range(3)]
    tasks, _ = least_entropy(torch.stack(of_tasks), 1.0)
    assert torch.equal(answer.task, tasks) and len(tasks.unique()) > 1


def test_only_tasks_learned_so_far_compete_and_one_is_enough() -> None:
    benchmark = blobs()
    method = learner("hnet_ent", benchmark, "cl3")
    method.begin_task(benchmark.tasks[:1])
    answer = method.predict(benchmark.tasks[2].test.batch(slice(None))[0])
    assert answer.task.eq(0).all() and answer.output.lt(2).all()


def test_a_told_task_is_not_inferred() -> None:
    benchmark, ent = trained("cl1")
    _, given_task = trained("cl1")
    inputs, _ = benchmark.tasks[2].test.batch(slice(None))
    answer = ent.predict(inputs, 2)
    assert answer.task is None and answer.task_score is None
    assert torch.equal(answer.output, given_task.predict(inputs, 2).output)

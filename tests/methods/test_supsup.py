"""SupSup: fixed weights, masks that later tasks leave alone, and the networks among which rules choose."""

from functools import partial
from typing import Any

import pytest
import torch
from builders import RATE, TwoWeights, blobs, learned, learner, sgd, two_weights
from torch import nn

from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import stream
from hnet_cl.methods.parts.entropy_gradient import EntropyGradient
from hnet_cl.training.rehearsal import inspect

BENCHMARK = blobs()
RULE = "hnet_cl.methods.parts.entropy_gradient.EntropyGradient"


def test_weights_are_signs_times_the_root_of_two_over_fan_in() -> None:
    def target(num_outputs: int) -> nn.Module:
        layers = nn.Linear(2, 8), nn.ReLU(), nn.Unflatten(1, (8, 1, 1)), nn.Conv2d(8, 50, 1, bias=False), nn.Flatten()
        return nn.Sequential(*layers, nn.Linear(50, num_outputs))

    made = learner("supsup", BENCHMARK, target=target)
    named = made.weights_with([torch.ones(()) for _ in made.layers])
    for name, fan_in in (("0.weight", 2), ("3.weight", 8), ("5.weight", 50)):
        values = named[name].unique()
        torch.testing.assert_close(values, torch.tensor([-1.0, 1.0]) * (2 / fan_in) ** 0.5)
    assert abs(named["3.weight"].mean()) < 0.1 * 0.5, "as many of one sign as of the other"
    assert not named["0.bias"].any() and not named["5.bias"].any()


@pytest.mark.parametrize("scenario", ["cl1", "cl3"])
def test_one_step_by_hand(scenario: str) -> None:
    """Logits are w m x, so that the slope of a score is that of its logit's weight, times w = +-sqrt(2)."""
    benchmark = TwoWeights()
    made = learner("supsup", benchmark, scenario, target=two_weights, optimizer=sgd)
    made.begin_task(benchmark.tasks[:1])
    weight = made.weights_with([torch.ones(())])["weight"]
    signs = 2.0 * torch.randint(2, (6, 1), generator=stream(1, "signs")) - 1
    torch.testing.assert_close(weight, signs * 2**0.5)
    score = 2 * torch.rand(6, 1, generator=stream(1, "scores", 0)) - 1
    torch.testing.assert_close(made.masks.scores[0].data, score)
    inputs, labels = benchmark.tasks[0].train.batch(slice(None))
    seen = (weight * (score >= 0))[:2]
    p = (inputs @ seen.T).softmax(1)
    gradient = (p - nn.functional.one_hot(labels, 2)).T @ inputs / len(inputs)
    losses = made.step(inputs, labels)
    torch.testing.assert_close(losses["loss"], -p[range(2), labels].log().mean())
    score[:2] -= RATE * gradient * weight[:2]
    torch.testing.assert_close(made.masks.scores[0].data, score)
    assert torch.equal(made.weights_with([torch.ones(())])["weight"], weight)


@pytest.mark.parametrize("kept", [None, 0.3])
def test_nothing_of_old_tasks_changes_by_a_bit(kept: float | None) -> None:
    optimizer = partial(torch.optim.AdamW, lr=0.2, weight_decay=0.5)
    made = learner("supsup", BENCHMARK, optimizer=optimizer, kept=kept)
    inputs, logits = BENCHMARK.tasks[0].test.images, []
    for number, task in enumerate(BENCHMARK.tasks):
        made.begin_task(BENCHMARK.tasks[: number + 1])
        before = made.masks.chosen()
        for _ in range(8):
            made.step(*task.train.batch(slice(None)))
        made.end_task()
        assert not all(map(torch.equal, made.masks.chosen(), before)), "a mask that is learned"
        logits.append(made.predict(inputs, number).logits)
    for task in range(3):
        assert torch.equal(made.predict(inputs, task).logits, logits[task])
    if kept is not None:
        shares = [mask.float().mean().item() for mask in made.masks.of(0)]
        assert shares == pytest.approx([0.3, 0.3]), "of 10 and of 30 weights"


def test_the_plain_network_of_a_task_gives_its_answers() -> None:
    made = learned(learner("supsup", BENCHMARK), BENCHMARK, 3)
    for task in BENCHMARK.tasks:
        network, outputs = made.task_network(task.id)
        expected = made.predict(task.test.images, task.id).logits
        torch.testing.assert_close(network.eval()(task.test.images)[:, outputs], expected)


def test_bytes_are_bits_of_masks_alone() -> None:
    made = learned(learner("supsup", BENCHMARK), BENCHMARK, 3)
    assert made.kept_bytes() == {"masks": 3 * 5}  # 2 * 5 + 5 * 6 weights of three tasks
    assert made.target_size == 3 * 5 + 6 * 6


def test_the_surest_of_the_masked_networks_answers() -> None:
    made: Any = learned(learner("supsup", BENCHMARK, "cl3"), BENCHMARK, 3, steps=20)
    inputs = BENCHMARK.tasks[1].test.images
    with torch.no_grad():
        logits = torch.stack([network(inputs)[:, own] for network, own in map(made.task_network, range(3))])
    p = logits.softmax(2)
    answer = made.predict(inputs)
    assert torch.equal(answer.task, (p * p.log()).sum(2).argmax(0)), "of the least entropy"
    assert len(answer.task.unique()) > 1


def test_the_superposed_network_has_the_mean_of_the_masks() -> None:
    """And the rule of the paper gives the derivative with respect to a task's share, here by differences."""
    rule: Any = {"_target_": RULE, "halving": False, "images_per_decision": 1}
    made: Any = learned(learner("supsup", BENCHMARK, "cl3", task_inference=rule), BENCHMARK, 3, steps=20)
    mean, directions = made.networks.superposed(range(3))
    each = made.networks.weights(range(3))
    torch.testing.assert_close(mean, each.mean(0))
    assert torch.equal(torch.stack([*directions]), each)
    assert isinstance(made.task_inference, EntropyGradient)
    inputs, step = BENCHMARK.tasks[2].test.images[:9], 1e-3
    target = made.target.train(False)
    slopes = []
    for own in each:
        entropies = []
        for sign in (-1, 1):
            p = target(mean.double() + sign * step * own.double(), inputs.double()).softmax(1)
            entropies.append(-(p * p.log()).sum(1))
        slopes.append((entropies[1] - entropies[0]) / (2 * step))
    answer = made.predict(inputs)
    expected = torch.stack(slopes).min(0)
    torch.testing.assert_close(answer.task_score.double(), expected.values, rtol=1e-2, atol=1e-4)
    assert torch.equal(answer.task, expected.indices)


def test_weights_come_from_the_state() -> None:
    first, second = (learner("supsup", BENCHMARK, "cl3", seed=seed) for seed in (1, 2))
    learned(first, BENCHMARK, 3)
    inputs = BENCHMARK.tasks[0].test.images
    second.load_state_dict(first.state_dict())
    for one, other in zip(second.predict(inputs), first.predict(inputs), strict=True):
        assert torch.equal(one, other)


def test_other_networks_are_refused() -> None:
    def normalized(num_outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.Linear(5, num_outputs))

    with pytest.raises(
        UserError, match=r"method=supsup works on plain nn.Linear and nn.Conv2d layers \(groups=1\) alone"
    ):
        learner("supsup", BENCHMARK, target=normalized)
    statistics = nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5, affine=False), nn.Linear(5, 6))
    with pytest.raises(
        UserError, match=r"method=supsup keeps what old tasks need, and training changes 1.running_mean"
    ):
        inspect(learner("supsup", BENCHMARK, target=lambda _: statistics), BENCHMARK.tasks[0].train.images[:2])

"""HNET with Gaussian weights: by hand, as HNET where weights hardly vary, and as it answers and infers tasks."""

import math
from typing import Any

import pytest
import torch
from builders import (
    ENTROPY,
    EXPLICIT,
    FAST,
    HNET,
    RATE,
    TwoWeights,
    blobs,
    learned,
    learner,
    moved,
    sgd,
    two_weights,
    with_shared_head,
    written_out,
)
from torch import nn
from torch.distributions import Normal, kl_divergence

from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream
from hnet_cl.methods.hnet_posterior import HNetPosterior
from hnet_cl.methods.parts.agreement import Agreement, disagreement
from hnet_cl.methods.parts.sampled_networks import Gaussian, averaged
from hnet_cl.methods.parts.task_networks import Candidates
from hnet_cl.targets.mlp import MLP

BENCHMARK = blobs()
AGREEMENT = {"_target_": f"{Agreement.__module__}.{Agreement.__name__}", "images_per_decision": 1}


def test_the_divergence_by_hand_and_by_torch() -> None:
    """ln(2 / 0.2) + (0.2^2 + 0.5^2) / (2 * 2^2) - 1/2 = 1.838835."""
    one = Gaussian(torch.tensor([0.5], dtype=torch.float64), torch.tensor([0.2], dtype=torch.float64))
    assert one.divergence(2.0).item() == pytest.approx(math.log(10) + 0.29 / 8 - 0.5, abs=1e-12)
    assert Gaussian(torch.zeros(3), torch.full((3,), 0.7)).divergence(0.7).item() == pytest.approx(0, abs=1e-6)
    many = Gaussian(torch.randn(2, 50, dtype=torch.float64), torch.rand(2, 50, dtype=torch.float64) + 0.01)
    expected = kl_divergence(Normal(*many), Normal(torch.zeros(()).double(), torch.full((), 0.3).double())).sum()
    torch.testing.assert_close(many.divergence(0.3), expected)


def test_predictions_are_averaged_as_probabilities() -> None:
    """Of (3/4, 1/4) and (1/4, 3/4) it is (1/2, 1/2); both have the log-sum-exp ln 4, and so has their mean."""
    three = math.log(3)
    found = averaged(torch.tensor([[three, 0.0], [0.0, three]]))
    torch.testing.assert_close(found, torch.full((2,), math.log(2)))
    logits = torch.randn(4, 5, 3)
    torch.testing.assert_close(averaged(logits).softmax(-1), logits.softmax(-1).mean(0))
    torch.testing.assert_close(averaged(logits).logsumexp(-1), logits.logsumexp(-1).mean(0))
    torch.testing.assert_close(averaged(logits[:1]), logits[0])
    torch.testing.assert_close(averaged(logits, slice(1, 3))[:, 1:], averaged(logits[..., 1:]))
    padded = torch.cat([logits, torch.full((4, 5, 1), -torch.inf)], dim=2)
    torch.testing.assert_close(averaged(padded), torch.cat([averaged(logits), padded[0, :, -1:]], dim=1))


def test_a_step_by_hand() -> None:
    """Of two weights m + s e, the gradient g of the mean cross-entropy gives g for m and g e ds/drho for rho."""
    kl, prior, start = 0.5, 0.8, 0.05
    usual: dict[str, Any] = {"strength": 0.0, "target": two_weights, "optimizer": sgd, "train_samples": 2}
    made: HNetPosterior = with_shared_head("hnet_posterior", kl=kl, prior_std=prior, start_std=start, **usual)
    m, rho = torch.tensor([0.4, -1.2]), torch.tensor([0.3, -0.5])
    with torch.no_grad():
        made.hypernetwork.generate_zeros()
        made.hypernetwork.head[-1, :4] = torch.cat([m, rho])
    benchmark = TwoWeights()
    made.begin_task(benchmark.tasks[:1])
    inputs, labels = benchmark.tasks[0].train.batch(slice(None))
    raw = rho + math.log(math.exp(start) - 1)
    s, slope = raw.exp().add(1).log(), raw.sigmoid()
    noise = made.context.stream(Stream.WEIGHT_NOISE, 0)
    loss = kl / 2 * ((s / prior).square() / 2 + (m / prior).square() / 2 - 0.5 - (s / prior).log()).sum()
    of_m, of_s = kl / 2 * m / prior**2, kl / 2 * (s / prior**2 - 1 / s)
    for _ in range(2):
        e = torch.randn(2, generator=noise)
        p = (inputs @ (m + s * e)[None]).softmax(1)
        g = ((p - nn.functional.one_hot(labels, 2)).T @ inputs)[:, 0] / len(inputs)
        loss = loss - p[range(2), labels].log().mean() / 2
        of_m, of_s = of_m + g / 2, of_s + g * e / 2
    torch.testing.assert_close(made.step(inputs, labels)["loss"], loss)
    expected = torch.cat([m - RATE * of_m, rho - RATE * of_s * slope])
    torch.testing.assert_close(made.hypernetwork.head.data[-1, :4], expected)


def as_hnet(plain: Any, **changes: Any) -> HNetPosterior:
    """A learner with the hypernetwork of another one, beside whose outputs stands rho = 0."""
    made: HNetPosterior = learner("hnet_posterior", BENCHMARK, **changes)
    state = plain.hypernetwork.state_dict()
    state["head"] = torch.cat([state["head"], torch.zeros_like(state["head"])], dim=1)
    made.hypernetwork.load_state_dict(state)
    return made


@pytest.mark.parametrize("regularizer", [FAST, pytest.param(EXPLICIT, marks=pytest.mark.slow)])
def test_weights_that_hardly_vary_are_hnet(regularizer: dict[str, Any]) -> None:
    usual = {"lookahead": False, "regularizer": regularizer, "optimizer": sgd, "strength": 0.5}
    usual["hypernet"] = HNET["hypernet"] | {"chunk_size": None}
    plain = learner("hnet", BENCHMARK, **usual)
    made = as_hnet(plain, kl=0.0, start_std=1e-9, **usual)
    for number, task in enumerate(BENCHMARK.tasks):
        plain.begin_task(BENCHMARK.tasks[: number + 1])
        made.begin_task(BENCHMARK.tasks[: number + 1])
        for _ in range(4):
            batch = task.train.batch(slice(None))
            expected, found = plain.step(*batch), made.step(*batch)
            assert found.keys() == expected.keys()
            for name, value in expected.items():
                torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-7)
    inputs = BENCHMARK.tasks[0].test.images
    for task in range(3):
        torch.testing.assert_close(made.predict(inputs, task).logits, plain.predict(inputs, task).logits)
    torch.testing.assert_close(made.hypernetwork.head[:, : made.target_size], plain.hypernetwork.head)


def test_the_gradient_of_the_regulariser_is_that_of_the_explicit_sum() -> None:
    made: Any = learned(learner("hnet_posterior", BENCHMARK), BENCHMARK, 2)
    hypernetwork = made.hypernetwork.double()
    regularizer = made.settings.make_regularizer(hypernetwork, range(2))
    theta = moved(hypernetwork.theta, 0.1)
    found = torch.autograd.grad(regularizer(theta), list(theta.values()))
    total = torch.zeros((), dtype=torch.float64)
    for old in range(2):
        embedding = hypernetwork.task_embeddings[old].detach()
        before = written_out(hypernetwork, hypernetwork.theta, embedding).detach()
        assert len(before) == 2 * made.target_size, "means and rho of all weights"
        total = total + (written_out(hypernetwork, theta, embedding) - before).square().sum()
    expected = torch.autograd.grad(total / 2, list(theta.values()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("init", ["xavier", "fan_in"])
def test_what_is_generated_and_how_it_starts(init: str) -> None:
    hypernet = HNET["hypernet"] | {"init": init}
    made = learner("hnet_posterior", BENCHMARK, hypernet=hypernet, target=lambda n: MLP((2,), n, [40, 50]))
    names = [*made.target.layout.shapes]
    assert [*made.hypernetwork.layout.shapes] == names + [f"{name} (rho)" for name in names]
    assert made.generated_size == 2 * made.target_size == 2 * (3 * 40 + 41 * 50 + 51 * 6)
    parts = made.hypernetwork.layout.split(made.hypernetwork(0).detach())
    if init == "fan_in":
        weight = made.context.new_target(6).layers[1].weight
        assert 0.8 < parts["layers.1.weight"].std() / weight.std() < 1.25
        assert 0.8 < parts["layers.1.weight (rho)"].std() * 12**0.5 < 1.25
    std = made.networks.gaussian([0, 2]).std
    assert std.shape == (2, made.target_size) and 0.5 < std.median() / 0.05 < 2


def test_samples_are_the_same_for_all_inputs_and_at_any_time() -> None:
    made: Any = learned(learner("hnet_posterior", BENCHMARK, kl=0.0, start_std=0.5), BENCHMARK, 3)
    inputs = BENCHMARK.tasks[1].test.images
    expected = []
    for task in range(3):
        rng = made.context.stream(Stream.WEIGHT_SAMPLES)
        gaussian, own = made.networks.gaussian([task]), made.heads.own(task)
        weights = [gaussian.sample(torch.randn(made.target_size, generator=rng))[0] for _ in range(3)]
        expected.append(torch.stack([made.target(each, inputs)[:, own].softmax(1) for each in weights]).mean(0))
        for part in (slice(None), slice(3, 9)):
            found = made.predict(inputs[part], task).logits
            torch.testing.assert_close(found.softmax(1), expected[task][part].detach())
    together = Candidates(made.networks, inputs, 3).logits
    torch.testing.assert_close(together.softmax(2), torch.stack(expected))
    assert made.task_network(0) is None, "no single network answers"
    spread = made.networks.sampled_logits(inputs, range(3)).softmax(-1).std(0)
    assert (spread > 0.01).any(), "samples differ"


def test_disagreement_by_hand() -> None:
    """Of probabilities 1 and 0 it is sqrt(1/2) in each of two classes, also beside a class that is absent."""
    logits = [[[50.0, 0.0], [1.0, 2.0]], [[0.0, 50.0], [1.0, 2.0]]]  # (sample, task, class)
    sure = torch.tensor(logits)[:, :, None]
    expected = torch.tensor([[0.5**0.5], [0.0]])
    torch.testing.assert_close(disagreement(sure), expected)
    torch.testing.assert_close(disagreement(nn.functional.pad(sure, (0, 1), value=-torch.inf)), expected)


def test_agreement_takes_the_task_whose_samples_agree() -> None:
    made: Any = learned(learner("hnet_posterior", BENCHMARK, "cl3", task_inference=AGREEMENT), BENCHMARK, 3)
    inputs = torch.cat([task.test.images for task in BENCHMARK.tasks])
    scores = disagreement(made.networks.sampled_logits(inputs, range(3)))
    found = made.predict(inputs)
    assert torch.equal(found.task, scores.argmin(0)) and torch.equal(found.task_score, scores.amin(0))
    for task in found.task.unique().tolist():
        made.heads.task_known = True
        here = found.task == task
        torch.testing.assert_close(found.output[here], made.predict(inputs[here], task).output)


@pytest.mark.parametrize(
    ("method", "changes", "line"),
    [
        ("hnet", {}, r"^method/task_inference=agreement: compares samples .*; use method=hnet_posterior, or another"),
        ("scratch", {}, r"^method/task_inference=agreement: compares samples"),
        ("hnet_posterior", {"test_samples": 1}, r"^method\.test_samples=1: .*; give at least 2$"),
    ],
)
def test_where_there_is_nothing_to_agree(method: str, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        learner(method, BENCHMARK, "cl3", task_inference=AGREEMENT, **changes)
    assert learner(method, BENCHMARK, "cl1", task_inference=AGREEMENT, **changes).heads.task_known


def test_other_rules_see_the_mean_prediction() -> None:
    rule = {"_target_": ENTROPY, "temperature": 1.0, "images_per_decision": 1}
    made: Any = learned(learner("hnet_posterior", BENCHMARK, "cl3", task_inference=rule), BENCHMARK, 2)
    inputs = BENCHMARK.tasks[0].test.images
    p = made.networks.sampled_logits(inputs, range(2)).softmax(-1).mean(0)
    torch.testing.assert_close(made.predict(inputs).task_score, (p * p.log()).sum(-1).neg().amin(0))
    gradient = {"_target_": "hnet_cl.methods.parts.entropy_gradient.EntropyGradient", "halving": False}
    other: Any = learner("hnet_posterior", BENCHMARK, "cl3", task_inference=gradient | {"images_per_decision": 1})
    other = learned(other, BENCHMARK, 2)
    weights, slopes = other.networks.superposed([0, 1])
    between = other.hypernetwork.features(other.hypernetwork.embeddings([0, 1]).mean(0, keepdim=True))
    means, _ = other.hypernetwork.generate(between)[0].chunk(2)
    torch.testing.assert_close(weights, means.detach())
    assert [slope.shape for slope in slopes] == 2 * [means.shape]
    assert other.predict(inputs).task.shape == (len(inputs),)

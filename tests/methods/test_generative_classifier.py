"""The generative classifier: likelihoods in closed form, and autoencoders that nothing but their class moves."""

from math import log, pi
from typing import Any

import pytest
import torch
from builders import blobs, head_map, learned, learner, setup, sgd
from torch import Tensor
from torch.distributions import Bernoulli, MultivariateNormal, Normal

from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import stream
from hnet_cl.methods import generative_classifier as module
from hnet_cl.methods.generative_classifier import GenerativeClassifier
from hnet_cl.scenario import ScenarioSettings

BENCHMARK = blobs()
NOISE = 0.4


def made(scenario: str = "cl3", **changes: Any) -> Any:
    return learner("generative_classifier", BENCHMARK, scenario, **changes)


def test_a_linear_gaussian_model_in_closed_form() -> None:
    """With x = w z + b + noise and the true posterior as q, each sample gives p(x) exactly: N(b, w w^T + noise^2 I)."""
    one = made(encoder=[], decoder=[], latent=1, pixel_noise=NOISE, samples=3)
    w, b = torch.tensor([1.5, -0.7]), torch.tensor([0.3, 0.2])
    total = NOISE**2 + w @ w
    autoencoder = one.autoencoders[4]
    with torch.no_grad():
        encoder, decoder = autoencoder.encoder.layers[0], autoencoder.decoder.layers[0]
        decoder.weight.copy_(w[:, None])
        decoder.bias.copy_(b)
        encoder.weight.copy_(torch.stack([w / total, torch.zeros(2)]))
        encoder.bias.copy_(torch.stack([-(w @ b) / total, (NOISE**2 / total).log()]))
    inputs = torch.randn(6, 2)
    exact = MultivariateNormal(b, w[:, None] * w + NOISE**2 * torch.eye(2)).log_prob(inputs)
    constant = 0.5 * 2 * log(2 * pi * NOISE**2)  # which all classes share
    torch.testing.assert_close(one.log_likelihood(inputs, autoencoder).detach(), exact + constant, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("noise", [None, NOISE])
def test_the_estimate_by_the_book(noise: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    one = made(pixel_noise=noise, samples=7)
    inputs = torch.rand(5, 2)
    epsilon = torch.randn(7, 3, generator=stream(1, "importance"))
    autoencoder = one.autoencoders[2]
    mean, log_variance = autoencoder.encoder(inputs).chunk(2, 1)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    terms = []
    for drawn in epsilon:
        z = mean + (0.5 * log_variance).exp() * drawn
        outputs = autoencoder.decoder(z)
        pixels = Bernoulli(logits=outputs, validate_args=False) if noise is None else Normal(outputs, noise)
        log_p = pixels.log_prob(inputs).sum(1) + Normal(0.0, 1.0).log_prob(z).sum(1)
        terms.append(log_p - posterior.log_prob(z).sum(1))
    constant = 0.0 if noise is None else 0.5 * 2 * log(2 * pi * noise**2)
    expected = torch.stack(terms).exp().mean(0).log() + constant
    torch.testing.assert_close(one.log_likelihood(inputs, autoencoder), expected, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr(module, "AT_A_TIME", 15)  # two inputs
    torch.testing.assert_close(one.log_likelihood(inputs, autoencoder), expected, rtol=1e-4, atol=1e-5)


def parts(one: Any, output: int) -> list[Tensor]:
    return [weight.detach().clone() for weight in one.autoencoders[output].parameters()]


def test_each_class_moves_its_own_autoencoder_alone() -> None:
    one = learned(made(), BENCHMARK, 1)
    one.begin_task(BENCHMARK.tasks[:2])
    inputs, labels = BENCHMARK.tasks[1].train.batch(slice(None))
    before = [parts(one, output) for output in range(6)]
    one.step(inputs[labels == 1], labels[labels == 1])
    moved = [not all(map(torch.equal, parts(one, output), before[output])) for output in range(6)]
    assert moved == [False, False, False, True, False, False]
    one.step(inputs, labels)
    moved = [not all(map(torch.equal, parts(one, output), before[output])) for output in range(6)]
    assert moved == [False, False, True, True, False, False]


def test_a_class_learns_as_if_it_were_alone() -> None:
    """Its loss is the mean over its own examples in the batch, whatever the others are."""
    both, alone = made(optimizer=sgd), made(optimizer=sgd)
    inputs, labels = BENCHMARK.tasks[0].train.batch(slice(None))
    order = torch.cat([(labels == label).nonzero()[:16, 0] for label in (0, 1)])  # the same noise for the first class
    inputs, labels = inputs[order], labels[order]
    for one in (both, alone):
        one.begin_task(BENCHMARK.tasks[:1])
    both.step(inputs, labels)
    alone.step(inputs[labels == 0], labels[labels == 0])
    torch.testing.assert_close(parts(both, 0), parts(alone, 0))


def test_the_likeliest_class_answers() -> None:
    one: Any = learned(made(), BENCHMARK, 3, steps=30)
    inputs = BENCHMARK.tasks[1].test.images
    expected = torch.stack([one.log_likelihood(inputs, each) for each in one.autoencoders], 1)
    answer = one.predict(inputs)
    torch.testing.assert_close(answer.logits, expected.detach())
    assert torch.equal(answer.output, expected.argmax(1)) and len(answer.output.unique()) > 1
    told = made("cl1")
    told.load_state_dict(one.state_dict())
    assert torch.equal(told.predict(inputs, 2).output, expected[:, 4:].argmax(1) + 4)
    torch.testing.assert_close(one.predict(inputs[3:4]).logits, answer.logits[3:4], rtol=1e-4, atol=1e-4)


def test_importance_samples_come_from_the_state() -> None:
    first, second = made(), made(seed=2)
    learned(first, BENCHMARK, 3)
    second.load_state_dict(first.state_dict())
    inputs = BENCHMARK.tasks[0].test.images
    assert torch.equal(first.predict(inputs).logits, second.predict(inputs).logits)


def test_sizes_and_bytes() -> None:
    each = (2 + 1) * 6 + (6 + 1) * 6 + (3 + 1) * 5 + (5 + 1) * 2
    one = made()
    assert one.target_size == 6 * each and one.kept_bytes() == {"autoencoders": 4 * 6 * each}
    assert sum(weight.numel() for weight in one.trained()) == 2 * each, "those of a task at a time"


def test_classes_that_tasks_share_are_refused() -> None:
    shared: Any = {"heads": "shared", "classes": "shared"}
    for name, known in (("cl2", False), ("cl1", True)):
        scenario = ScenarioSettings(name=name, task_known=known, **shared)
        assert "use scenario=cl3" in str(GenerativeClassifier.unsupported(None, scenario))
    separate = ScenarioSettings(name="cl3", task_known=False, heads="separate", classes="separate")
    assert GenerativeClassifier.unsupported(None, separate) is None


def test_inputs_beyond_0_and_1_need_a_noise() -> None:
    one = GenerativeClassifier(made(pixel_noise=None).settings, setup(head_map("cl3", [2] * 3)))
    with pytest.raises(UserError, match=r"pixel_noise=null: is for inputs in 0..1, and those of blobs 0 reach from -"):
        one.begin_task(BENCHMARK.tasks[:1])

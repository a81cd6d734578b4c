"""What both generators have in common: the autoencoder's loss, and where replay comes from."""

import copy
import math
from typing import Any

import pytest
import torch
from builders import GENERATED, PLAIN, blobs, learned, learner
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import stream
from hnet_cl.methods.parts import generator as module
from hnet_cl.methods.parts.generator import kl, reconstruction

BENCHMARK = blobs()
both = pytest.mark.parametrize("method", ["hnet_r", "dgr"])


def test_divergence_is_that_of_gaussians() -> None:
    mean, log_variance = torch.randn(2, 5, 4, dtype=torch.double)
    posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    torch.testing.assert_close(kl(mean, log_variance), kl_divergence(posterior, prior))


def test_reconstruction_of_bernoulli_pixels() -> None:
    outputs, pixels = torch.randn(5, 7), torch.rand(5, 7).round()
    expected = -Bernoulli(logits=outputs).log_prob(pixels).mean(1)
    torch.testing.assert_close(reconstruction(outputs, pixels, None), expected)
    grey = reconstruction(torch.zeros(1, 7), torch.rand(1, 7), None)
    torch.testing.assert_close(grey, torch.tensor([math.log(2)]))  # of probability 1/2, whatever the pixel


def test_reconstruction_of_gaussian_pixels() -> None:
    outputs, pixels, noise = torch.randn(5, 7), torch.randn(5, 7), 0.3
    constant = math.log(noise) + 0.5 * math.log(2 * math.pi)
    expected = -Normal(outputs, noise).log_prob(pixels).mean(1) - constant
    torch.testing.assert_close(reconstruction(outputs, pixels, noise), expected)


@both
def test_loss_is_per_pixel_with_noise_from_its_own_stream(method: str) -> None:
    made = learner(method, BENCHMARK)
    made.begin_task(BENCHMARK.tasks[:1])
    inputs = torch.randn(8, 2)
    outputs = []

    def decode(z: Tensor) -> Tensor:
        outputs.append(z)
        return z[:, :2]

    torch.rand(3)
    rec, divergence = made.generator.autoencode(inputs, decode)
    mean, log_variance = made.generator.encoder(inputs).split(3, 1)
    noise = torch.randn(8, 3, generator=stream(1, "latent noise", 0))
    torch.testing.assert_close(outputs[0], mean + (0.5 * log_variance).exp() * noise)
    torch.testing.assert_close(rec, reconstruction(outputs[0][:, :2], inputs, 0.2))
    torch.testing.assert_close(divergence, kl(mean, log_variance) / 2)  # inputs have two pixels


@both
def test_one_step_goes_down_the_gradient_of_the_sum(method: str) -> None:
    benchmark = blobs(num_tasks=1)
    made = learner(method, benchmark)
    losses = []
    made.begin_task(benchmark.tasks)
    inputs, _ = benchmark.tasks[0].train.batch(slice(None))
    for _ in range(400):
        found = made.generator.step(inputs, None, 1.0)
        losses.append((found["reconstruction"] + found["kl"]).item())
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


@both
def test_replay_is_of_the_generator_before_the_task(method: str) -> None:
    made = learned(learner(method, BENCHMARK, "cl3"), BENCHMARK, 2)
    made.begin_task(BENCHMARK.tasks)
    before = copy.deepcopy(made)
    for _ in range(2 * module.BLOCK + 3):
        made.step(*BENCHMARK.tasks[2].train.batch(slice(0, 9)))
    assert not torch.equal(made.generator.samples(4).inputs[:4], before.generator.samples(4).inputs[:4])
    for _ in range(2 * module.BLOCK + 3):
        expected = before.generator.replay(9)
    before.generator.replayed -= 1
    made.generator.replayed -= 1
    assert torch.equal(made.generator.replay(9).inputs, expected.inputs)


@both
def test_no_two_steps_replay_the_same(method: str) -> None:
    made = learned(learner(method, BENCHMARK, "cl3"), BENCHMARK, 2)
    made.begin_task(BENCHMARK.tasks)
    drawn = torch.stack([made.generator.replay(8).inputs for _ in range(2 * module.BLOCK + 1)])
    assert drawn.shape == (2 * module.BLOCK + 1, 8, 2) and len(drawn.unique(dim=0)) == len(drawn)


@both
def test_the_size_of_a_block_is_only_a_matter_of_speed(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In distribution: mean and spread of what is replayed."""
    made = learned(learner(method, BENCHMARK, "cl3"), BENCHMARK, 2)
    found = []
    for block in (1, 40):
        monkeypatch.setattr(module, "BLOCK", block)
        monkeypatch.setattr(
            f"hnet_cl.methods.parts.{'generated' if method == 'hnet_r' else 'plain'}_decoder.BLOCK", block
        )
        made.begin_task(BENCHMARK.tasks)
        drawn = torch.stack([made.generator.replay(100).inputs for _ in range(40)])
        found.append(torch.stack([drawn.mean((0, 1)), drawn.std((0, 1))]))
    torch.testing.assert_close(found[0], found[1], rtol=0.2, atol=0.02)


def task_with(low: float, high: float) -> Task:
    split = Split(torch.tensor([[low, high]] * 4), torch.zeros(4, dtype=torch.long), torch.clone)
    return Task(0, "wide", split, split, 2)


@pytest.mark.parametrize("kind", [GENERATED, PLAIN])
@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.5), (0.5, 1.1)])
def test_inputs_that_are_no_pixels_are_refused(kind: dict[str, Any], low: float, high: float) -> None:
    made = learner("hnet_r", BENCHMARK, generator=kind | {"pixel_noise": None})
    with pytest.raises(UserError, match=rf"^pixel_noise=null: .* of wide reach from {low:.2g} to {high:.2g}"):
        made.begin_task([task_with(low, high)])
    made.begin_task([task_with(0.0, 1.0)])


@both
def test_pixels_are_probabilities(method: str) -> None:
    kind = GENERATED if method == "hnet_r" else PLAIN
    made = learner(method, BENCHMARK, generator=kind | {"pixel_noise": None})
    made.begin_task([task_with(0.0, 1.0)])
    for _ in range(300):
        made.step(torch.tensor([[0.0, 1.0]]).expand(8, 2), torch.zeros(8, dtype=torch.long))
    samples = made.generator.samples(50).inputs
    assert (samples[:, 0] < 0.1).all() and (samples[:, 1] > 0.9).all() and samples.min() >= 0 and samples.max() <= 1

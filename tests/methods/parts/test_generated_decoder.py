"""The decoder that a hypernetwork generates: one for each task, held where it was."""

from math import ceil

import pytest
import torch
from builders import GENERATED, blobs, head_map, learned, learner, setup
from torch import nn

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import stream
from hnet_cl.methods.parts.generated_decoder import GeneratedDecoder, GeneratedDecoderSettings
from hnet_cl.methods.parts.generator import BLOCK
from hnet_cl.targets.mlp import MLP

BENCHMARK = blobs(num_tasks=4)


def drift(strength: float) -> float:
    """How far the first task's generated decoder is moved by the three tasks after it."""
    generator = GENERATED | {"strength": strength, "condition": 4}
    made = learned(learner("hnet_r", BENCHMARK, generator=generator), BENCHMARK, 1, steps=20)
    before = made.generator.hypernetwork(0).detach()  # type: ignore[union-attr,operator]
    for number in range(1, 4):
        made.begin_task(BENCHMARK.tasks[: number + 1])
        for _ in range(20):
            made.step(*BENCHMARK.tasks[number].train.batch(slice(None)))
    after = made.generator.hypernetwork(0).detach()  # type: ignore[union-attr,operator]
    return (after - before).square().sum().item()


def test_old_decoders_are_protected() -> None:
    assert drift(100.0) < 0.02 * drift(0.0)


def test_regulariser_is_reported_from_the_second_task_on() -> None:
    made = learner("hnet_r", blobs())
    for number, task in enumerate(blobs().tasks):
        made.begin_task(blobs().tasks[: number + 1])
        names = set(made.step(*task.train.batch(slice(0, 8))))
        assert names == {"loss", "reconstruction", "kl"} | ({"replay", "regularizer"} if number else set())


@pytest.mark.parametrize("size", [1, 8, 9])
def test_every_old_task_is_replayed_alike(size: int) -> None:
    made = learned(learner("hnet_r", BENCHMARK, generator=GENERATED | {"condition": 4}), BENCHMARK, 3)
    made.begin_task(BENCHMARK.tasks)
    drawn = made.generator.replay(size)  # type: ignore[union-attr,operator]
    assert drawn.tasks.tolist() == [task for task in range(3) for _ in range(ceil(size / 3))]
    assert drawn.inputs.shape == (len(drawn.tasks), 2)


def test_samples_are_decoded_by_their_tasks_own_weights() -> None:
    """The decoder MLP (z, one-hot)-5-2 by hand, for replay and for the samples that are shown."""
    benchmark = blobs()
    made = learned(learner("hnet_r", benchmark), benchmark, 2)
    made.begin_task(benchmark.tasks)
    generator = made.generator

    def by_hand(z: torch.Tensor, task: int) -> torch.Tensor:
        w1, b1, w2, b2 = generator.hypernetwork(task).detach().split([30, 5, 10, 2])  # type: ignore[union-attr,operator]
        inputs = torch.cat([z, torch.eye(3)[task].expand(len(z), 3)], 1)
        return (inputs @ w1.view(5, 6).T + b1).relu() @ w2.view(2, 5).T + b2

    draws = stream(1, "replay", 2, 0)
    first, second = (torch.randn(BLOCK * 4, 3, generator=draws) for _ in range(2))
    drawn = generator.replay(8)  # type: ignore[union-attr,operator]
    torch.testing.assert_close(drawn.inputs, torch.cat([by_hand(first[:4], 0), by_hand(second[:4], 1)]))
    samples = generator.samples(5)  # type: ignore[union-attr,operator]
    draws = stream(1, "samples", 2)
    rows = [by_hand(torch.randn(5, 3, generator=draws), task) for task in range(3)]
    torch.testing.assert_close(samples.inputs, torch.cat(rows))
    assert samples.tasks.tolist() == [0] * 5 + [1] * 5 + [2] * 5


class Upsampling(nn.Module):
    """A decoder with transposed convolutions: z (b, 3) to 4 x 4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 8), nn.ReLU(), nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 1, 2, stride=2), nn.Flatten()
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        pixels: torch.Tensor = self.layers(z)
        return pixels


@pytest.mark.slow
def test_any_module_can_be_the_decoder() -> None:
    settings = GeneratedDecoderSettings(**(GENERATED | {"condition": 0, "pixel_noise": None}))
    given = setup(head_map("cl1", (2, 2)), in_shape=(1, 4, 4))
    made = GeneratedDecoder(settings, given, MLP((1, 4, 4), 6, [6]), Upsampling())
    corner = torch.zeros(8, 1, 4, 4)
    corner[:, :, :2, :2] = 1
    for number in range(2):
        images = corner if number == 0 else corner.flip(2)
        split = Split(images, torch.zeros(8, dtype=torch.long), torch.clone)
        made.begin_task(Task(number, "corner", split, split, 2))
        for _ in range(200):
            made.step(images, None, 1.0)
    found = made.samples(2).inputs
    assert found.shape == (4, 1, 4, 4)
    torch.testing.assert_close(found[:2].round(), corner[:2])
    torch.testing.assert_close(found[2:].round(), corner[:2].flip(2))


def test_more_tasks_than_codes() -> None:
    with pytest.raises(UserError, match=r"^condition=3: cannot tell 4 tasks apart"):
        learner("hnet_r", BENCHMARK)

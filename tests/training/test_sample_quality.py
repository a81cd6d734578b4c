"""How good samples are: what a classifier of real data recognises, and what is shown."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from builders import blobs, head_map, setup, small_target
from torch import Tensor, nn

from hnet_cl.methods.base import SampleClassifierSettings, Samples
from hnet_cl.training import sample_quality as module
from hnet_cl.training.sample_quality import Recognition, SampleClassifier, quality_of

BENCHMARK = blobs(num_tasks=3, spread=0.02)
TASKS = BENCHMARK.tasks


def trained(iterations: int = 300, seed: int = 1, target: Any = small_target) -> SampleClassifier:
    given = setup(head_map("cl2", BENCHMARK.class_counts), seed, target, in_shape=(2,))
    return SampleClassifier(SampleClassifierSettings(iterations=iterations, lr=0.03), given, TASKS)


def test_it_knows_real_images_of_every_task_and_is_unsure_without_training() -> None:
    classifier = trained()
    for task in TASKS[:2]:  # the third has a blob where the first has one
        found = classifier(task.test.images)
        assert ((found.tasks == task.id) & found.sure).all()
    assert not trained(iterations=1)(TASKS[0].test.images).sure.any(), "no class of six has most of the probability"


def forgetful(num_outputs: int) -> nn.Module:
    """A target with randomness of its own."""
    return nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, num_outputs))


def test_a_seed_decides_it() -> None:
    trials = (trained(30, seed, forgetful).network.eval() for seed in (1, 1, 2))
    one, same, other = (network(TASKS[0].test.images) for network in trials)
    assert torch.equal(one, same) and not torch.equal(one, other)


class Signs:
    """A classifier that takes the first number of an input for its task, and is sure of positive second ones."""

    def __call__(self, inputs: Tensor) -> Recognition:
        return Recognition(inputs[:, 0].long(), inputs[:, 1] > 0)


def samples(tasks: list[int], sure: list[int]) -> Tensor:
    return torch.tensor([tasks, sure], dtype=torch.float).T


def reported(inputs: Tensor, tasks: Tensor | None, **changes: Any) -> Any:
    classifier: Any = Signs()
    return quality_of(Samples(inputs, tasks), [replace(task, **changes) for task in TASKS], classifier)


def test_recognised_is_the_share_of_a_tasks_samples_that_are_surely_taken_for_it() -> None:
    inputs = samples([0, 0, 0, 2, 1, 1, 1, 0, 2, 2, 2, 2], [1, 1, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0])
    found = reported(inputs, torch.arange(3).repeat_interleave(4))
    assert found.recognised == [0.5, 0.75, 0.0]


def test_samples_of_no_task_count_for_the_one_they_are_taken_for() -> None:
    inputs = samples([0, 0, 0, 0, 0, 0, 0, 2, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0])
    assert reported(inputs, None).recognised == [1.5, 0.25, 0.25]  # of four samples each


def test_real_images_are_classified_alike() -> None:
    classifier: Any = Signs()
    positive = sum((t.test.images[:, 1] > 0)[t.test.images[:, 0].long() == t.id].sum().item() for t in TASKS)
    assert reported(samples([0] * 3, [1] * 3), None).real == pytest.approx(positive / 120)
    assert positive > 0 and classifier(TASKS[0].test.images).sure.any()


def test_pictures_are_the_first_samples_of_each_task_and_blank_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SHOWN", 2)
    inputs = samples([0, 2, 2, 2], [1, 2, 3, 4])
    found = reported(inputs, None, picture=lambda x: x.view(-1, 1, 1, 2) / 10)
    assert found.pictures.shape == (3, 2, 1, 1, 2)
    shown = found.pictures[:, :, 0, 0, 1]
    torch.testing.assert_close(
        shown, torch.tensor([[0.1, torch.nan], [torch.nan, torch.nan], [0.2, 0.3]]), equal_nan=True
    )


def test_inputs_that_are_no_images_have_no_pictures() -> None:
    assert reported(samples([0] * 3, [1] * 3), None).pictures is None

"""Class means and ridge regression against NumPy, and that neither depends on any order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from builders import blobs, head_map, learned, learner, setup
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.core.seeding import stream
from hnet_cl.methods.ranpac import RIDGES, RanPAC
from hnet_cl.methods.simple_cil import WITHOUT, SimpleCIL

BENCHMARK = blobs()
WIDTH, CLASSES = 3, 2  # of the tasks below


def task(number: int, inputs: Tensor, labels: Tensor) -> Task:
    split = Split(inputs, labels, torch.clone)
    return Task(number, f"task {number + 1}", split, split, CLASSES)


def drawn_tasks(seed: int, number: int = 2, size: int = 7) -> list[Task]:
    draws = torch.Generator().manual_seed(seed)
    inputs = torch.randn(number, size, WIDTH, generator=draws)
    labels = torch.randint(CLASSES, (number, size), generator=draws)
    return [task(place, x, y) for place, (x, y) in enumerate(zip(inputs, labels, strict=True))]


def made(kind: Any, scenario: str = "cl3", number: int = 2, **changes: Any) -> Any:
    """A learner of such tasks."""
    context = setup(head_map(scenario, [CLASSES] * number), in_shape=(WIDTH,))
    return kind(kind.Settings(name="one", **changes), context)


def after(one: Any, tasks: Sequence[Task]) -> Any:
    """The learner after the tasks, which get their places as numbers."""
    numbered = [task(place, given.train.images, given.train.labels) for place, given in enumerate(tasks)]
    for number in range(1, len(numbered) + 1):
        one.begin_task(numbered[:number])
        one.end_task()
    return one


def all_of(tasks: Sequence[Task], starts: Sequence[int] = (0, 2)) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and outputs, one-hot, of all tasks in float64."""
    inputs = np.concatenate([one.train.images.double().numpy() for one in tasks])
    outputs = np.concatenate([one.train.labels.numpy() + start for one, start in zip(tasks, starts, strict=True)])
    return inputs, np.eye(4)[outputs]


def test_the_nearest_mean_by_the_angle() -> None:
    """Means (2, 0) of (1, 0) and (3, 0); (0, 2); the third class has no examples; the fourth has the mean (-1, -1)."""
    tasks = [
        task(0, torch.tensor([[1.0, 0, 0], [3.0, 0, 0], [0, 2.0, 0]]), torch.tensor([0, 0, 1])),
        task(1, torch.tensor([[-1.0, -1.0, 0]]), torch.tensor([1])),
    ]
    one = after(made(SimpleCIL), tasks)
    assert one.means.tolist() == [[2, 0, 0], [0, 2, 0], [0, 0, 0], [-1, -1, 0]] and one.counts.tolist() == [2, 1, 0, 1]
    inputs = torch.tensor([[0.1, 0.2, 0.0], [9.0, 0.0, 5.0], [-1.0, 0.0, 0.0]])
    answer = one.predict(inputs)
    assert answer.output.tolist() == [1, 0, 3], "however long inputs and means are"
    first, half = 0.1 / 0.05**0.5, 0.5**0.5
    expected = [[first, 2 * first, WITHOUT, -3 * first * half], [9 / 106**0.5, 0, WITHOUT, -9 / 106**0.5 * half]]
    torch.testing.assert_close(answer.logits[:2], torch.tensor(expected))
    assert one.predict(inputs, 0).output.tolist() == [1, 0, 1], "of the given task's classes"


@given(st.integers(0, 2**31), st.sampled_from(["cl2", "cl3"]))
@settings(max_examples=15, deadline=None)
def test_class_means_against_numpy(seed: int, scenario: str) -> None:
    tasks = drawn_tasks(seed)
    inputs, outputs = all_of(tasks, (0, 0) if scenario == "cl2" else (0, 2))
    found = after(made(SimpleCIL, scenario), tasks)
    for output, mean in enumerate(found.means):
        members = inputs[outputs[:, output] == 1]
        np.testing.assert_allclose(mean.numpy(), members.mean(0) if len(members) else np.zeros(WIDTH), atol=1e-5)


@given(st.integers(0, 2**31), st.sampled_from([1e-3, 1.0, 100.0]))
@settings(max_examples=15, deadline=None)
def test_ridge_regression_against_numpy(seed: int, ridge: float) -> None:
    tasks = drawn_tasks(seed)
    found = after(made(RanPAC, projected=5, ridge=ridge), tasks)
    inputs, outputs = all_of(tasks)
    projection = torch.randn(WIDTH, 5, generator=stream(1, "projection"))
    features = np.maximum(inputs @ projection.double().numpy(), 0)
    weights = np.linalg.solve(features.T @ features + ridge * np.eye(5), features.T @ outputs)
    np.testing.assert_allclose(found.weights.numpy(), weights, rtol=1e-3, atol=1e-4)
    logits = found.predict(torch.from_numpy(inputs).float()).logits
    np.testing.assert_allclose(logits.numpy(), features @ weights, rtol=1e-3, atol=1e-3)


@given(st.integers(0, 2**31), st.permutations(range(3)), st.permutations(range(7)))
@settings(max_examples=15, deadline=None)
def test_the_order_of_tasks_and_examples_does_not_matter(seed: int, order: list[int], rows: list[int]) -> None:
    tasks = drawn_tasks(seed, 3)
    moved = [task(0, tasks[place].train.images[rows], tasks[place].train.labels[rows]) for place in order]
    inputs = torch.randn(20, WIDTH, generator=torch.Generator().manual_seed(seed))
    outputs = torch.tensor([2 * order.index(old) + label for old in range(3) for label in range(2)])
    for kind, given_ in ((SimpleCIL, {}), (RanPAC, {"projected": 5, "ridge": 1.0})):
        first, second = (after(made(kind, number=3, **given_), some) for some in (tasks, moved))
        torch.testing.assert_close(
            second.predict(inputs).logits[:, outputs], first.predict(inputs).logits, atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize(("size", "fitted"), [(4, 3), (60, 48)])  # examples, of which fewer and more than features
def test_the_ridge_with_the_least_error_on_held_out_examples_is_chosen(size: int, fitted: int) -> None:
    tasks = drawn_tasks(5, size=size)
    found = after(made(RanPAC, projected=6, ridge=None), tasks)
    order = torch.randperm(size, generator=stream(1, "ridge", 1))
    newest = found.features(tasks[1].train.images).double().numpy()
    outputs = np.eye(4)[tasks[1].train.labels.numpy() + 2]
    (rows, rest), (known, wanted) = ((one[order[:fitted]], one[order[fitted:]]) for one in (newest, outputs))
    errors = []
    for ridge in RIDGES:
        weights = np.linalg.solve(rows.T @ rows + ridge * np.eye(6), rows.T @ known)
        errors.append(((rest @ weights - wanted) ** 2).sum())
    ridge = RIDGES[int(np.argmin(errors))]
    assert ridge not in (RIDGES[0], RIDGES[-1]), "or nothing would be seen here"
    features, outputs = (
        found.features(torch.cat([one.train.images for one in tasks])).double().numpy(),
        all_of(tasks)[1],
    )
    weights = np.linalg.solve(features.T @ features + ridge * np.eye(6), features.T @ outputs)
    np.testing.assert_allclose(found.weights.numpy(), weights, rtol=1e-3, atol=1e-5)


def test_random_features_come_from_the_state() -> None:
    first, second = (learner("ranpac", BENCHMARK, "cl3", seed=seed) for seed in (1, 2))
    learned(first, BENCHMARK, 3)
    assert not torch.equal(first.projection, second.projection)
    second.load_state_dict(first.state_dict())
    inputs = BENCHMARK.tasks[0].test.images
    assert torch.equal(first.predict(inputs).logits, second.predict(inputs).logits)
    assert first.kept_bytes() == {"gram": 8 * 12 * 12, "products": 8 * 12 * 6, "weights": 4 * 12 * 6}
    assert (first.target_size, learner("simple_cil", BENCHMARK).target_size) == (12 * 6, 2 * 6)


def test_steps_change_nothing_and_images_are_vectors() -> None:
    context = setup(head_map("cl3", [CLASSES] * 2), in_shape=(1, 1, WIDTH))
    tasks = drawn_tasks(2)
    images = [task(place, one.train.images.view(-1, 1, 1, WIDTH), one.train.labels) for place, one in enumerate(tasks)]
    for method, kind in (("simple_cil", SimpleCIL), ("ranpac", RanPAC)):
        given_ = {} if method == "simple_cil" else {"projected": 5, "ridge": 1.0}
        flat, deep = after(made(kind, **given_), tasks), kind(kind.Settings(name="one", **given_), context)
        for number in (1, 2):
            deep.begin_task(images[:number])
            before = {name: value.clone() for name, value in deep.named_buffers()}
            assert deep.step(*images[number - 1].train.batch(slice(None))) == {}
            assert all(torch.equal(value, before[name]) for name, value in deep.named_buffers())
            deep.end_task()
        inputs = tasks[0].train.images
        assert torch.equal(deep.predict(inputs.view(-1, 1, 1, WIDTH)).logits, flat.predict(inputs).logits)

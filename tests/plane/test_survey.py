"""Accuracies over a plane of embeddings: against a case worked out by hand, and as the learner itself answers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from builders import HNET, Benchmark, blobs, learner, two_weights
from marks import few
from processes import folder_of, in_process

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.plane.survey import accuracies, generating, grid_around, panel
from hnet_cl.predict.learner import TrainedLearner
from hnet_cl.predict.test_set import own_tasks
from hnet_cl.predict.trained import load

CROSS = np.array([[0.0, 0.0, 7.0], [2.0, 0.0, 7.0], [-2.0, 0.0, 7.0], [0.0, 1.0, 7.0], [0.0, -1.0, 7.0]])


class Signs(Benchmark):
    """One task: a positive number is of class 0, a negative one of class 1."""

    Settings = base.Settings

    def __init__(self) -> None:
        split = Split(torch.tensor([[1.0], [2.0], [3.0], [-1.0]]), torch.tensor([0, 0, 0, 1]), torch.clone)
        self.tasks = [Task(0, "signs", split, split, 2)]


@pytest.fixture
def diagonal() -> Any:
    """A trained learner whose network is W = e: logits (e_1 x, e_2 x) at the embedding e, which is (0.5, 0) at last."""
    sizes = HNET["hypernet"] | {"task_embedding": 2, "hidden": [], "chunk_size": None}
    benchmark = Signs()
    made = learner("hnet", benchmark, "cl1", 1, two_weights, hypernet=sizes)
    made.begin_task(benchmark.tasks)
    with torch.no_grad():
        made.hypernetwork.head.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        made.hypernetwork.task_embeddings[0].copy_(torch.tensor([0.5, 0.0]))
    plan = SimpleNamespace(training=SimpleNamespace(eval_batch_size=3), seed=1)
    return SimpleNamespace(learner=made, plan=plan, require_classes=lambda: None, tasks=benchmark.tasks)


def test_the_plane_of_a_linear_network_has_two_halves(diagonal: Any) -> None:
    """Right is all of it where e_1 > e_2, nothing where e_1 < e_2; on the diagonal all are of class 0: 3 of 4."""
    grid = grid_around(np.array([[0.5, 0.5]]), 3)
    assert grid.x.tolist() == grid.y.tolist() == [-0.5, 0.5, 1.5]
    found = panel(diagonal, grid, diagonal.tasks[0], 100)
    np.testing.assert_array_equal(found.accuracies, [[0.75, 1, 1], [0, 0.75, 1], [0, 0, 0.75]])  # rows are y
    assert (found.at_embeddings.tolist(), found.examples, found.available) == ([0.75], 4, 4)


def test_an_answer_that_rests_on_infinity_is_wrong(diagonal: Any) -> None:
    points = torch.tensor([[1.0, 0.0], [torch.inf, 0.0], [torch.nan, 0.0]])
    assert accuracies(diagonal.learner, points, 0, diagonal.tasks[0].test, 4).tolist() == [1, 0, 0]


def test_a_part_of_the_examples_is_drawn_without_replacement_and_always_the_same(diagonal: Any) -> None:
    """On the diagonal all are of class 0, as 80 of 100 examples are: of 40 drawn, about as many."""
    split = Split(torch.arange(100.0)[:, None] - 20, torch.tensor([1] * 20 + [0] * 80), torch.clone)
    task, grid = Task(0, "signs", split, split, 2), grid_around(np.array([[0.5, 0.5]]), 2)
    found = panel(diagonal, grid, task, 40)
    assert (found.examples, found.available) == (40, 100)
    (share,) = found.at_embeddings  # of examples that are not negative
    assert share * 40 == round(share * 40) and abs(share - 0.8) < 4 * (0.16 / 40) ** 0.5
    assert panel(diagonal, grid, task, 40).at_embeddings.tolist() == [share]
    assert panel(diagonal, grid, task, 100).at_embeddings.tolist() == [0.8]


def test_the_grid_is_square_with_room_around_the_embeddings() -> None:
    grid = grid_around(np.array([[0.0, 0.0], [4.0, 2.0]]), 4)
    assert grid.x.tolist() == [-1, 1, 3, 5] and grid.y.tolist() == [-2, 0, 2, 4]
    np.testing.assert_allclose(grid.at(np.array([[3.0, -2.0]]), 1), [[3, -2]])


def test_the_plane_of_larger_embeddings_goes_through_the_panels_own() -> None:
    """A cross in the first two dimensions; one arm is bent into the third."""
    embeddings = CROSS + np.array([[0.0, 0.0, 0.0]] * 4 + [[0.0, 0.0, 0.5]])
    grid = grid_around(embeddings, 2)
    for task, own in enumerate(embeddings):
        np.testing.assert_allclose(grid.at(grid.plane.points[task][None], task), own[None], atol=1e-12)
    np.testing.assert_allclose(grid.plane.axes[0], [1, 0, 0], atol=1e-12)
    there = grid.at(grid.plane.points[:1] + np.array([3.0, 4.0]), 0) - embeddings[0]
    assert np.linalg.norm(there) == pytest.approx(5)
    np.testing.assert_allclose(there[0] @ grid.plane.axes.T, [3, 4], atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 1), (2, 3), (1, 32)])
def test_embeddings_without_a_plane(shape: tuple[int, int]) -> None:
    tasks, size = shape
    with pytest.raises(
        UserError, match=rf"^method\.hypernet\.task_embedding={size}: the embeddings of {tasks} tasks have no plane; "
    ):
        grid_around(np.ones(shape), 3)


def test_a_learner_without_a_hypernetwork_has_no_plane() -> None:
    plan = SimpleNamespace(method=SimpleNamespace(name="finetune"))
    trained: Any = SimpleNamespace(learner=learner("finetune", blobs()), plan=plan, require_classes=lambda: None)
    with pytest.raises(UserError) as error:
        generating(trained)
    assert str(error.value) == (
        "method=finetune: no hypernetwork generates the network that answers, so there are no task embeddings; give "
        "the run of one that does, as method=hnet"
    )


@pytest.mark.parametrize("words", few(["hnet_ent cl3", "hint cl1", "hypermask cl1", "hnet_tir cl2"], []))
def test_every_method_answers_on_the_plane_as_it_does_itself(words: str, tmp_path: Path) -> None:
    method, scenario = words.split()
    sizes = ("benchmark=toy", "training.iterations=20", "device.threads=1", "method.hypernet.task_embedding=2")
    done = in_process(*sizes, f"method={method}", f"scenario={scenario}", f"output_dir={tmp_path}")
    trained = load(folder_of(done), "cpu")
    grid = grid_around(TrainedLearner(trained).task_embeddings.double().numpy(), 2)
    learner: Any = trained.learner
    for task in own_tasks(trained):
        inputs, labels = task.test.batch(slice(None))
        answers = learner.predict(inputs, task.id).output
        expected = learner.heads.correct(answers, labels, task.id).float().mean().item()
        assert panel(trained, grid, task, 10**6).at_embeddings[task.id] == pytest.approx(expected, abs=1e-6)
        own = learner.hypernetwork.embeddings([task.id]).expand(2, -1)
        together = accuracies(learner, own, task.id, task.test, 64)
        assert together == pytest.approx([expected] * 2, abs=1 / len(labels))  # one example may lie on the boundary

"""Which outputs exist, which are trained and which are read, in the three scenarios."""

import pytest
import torch
from builders import head_map
from pydantic import ValidationError

from hnet_cl.core.errors import UserError
from hnet_cl.scenario import ScenarioSettings, gather_heads

COUNTS = (2, 3, 2)
OWN = [slice(0, 2), slice(2, 5), slice(5, 7)]
SEEN = [slice(0, 2), slice(0, 5), slice(0, 7)]
SHARED = [slice(0, 3)] * 3


@pytest.mark.parametrize(
    ("scenario", "counts", "own", "seen", "trained", "num_outputs"),
    [("cl1", COUNTS, OWN, SEEN, OWN, 7), ("cl2", (3, 3, 3), *[SHARED] * 3, 3), ("cl3", COUNTS, OWN, SEEN, SEEN, 7)],
)
def test_outputs(
    scenario: str, counts: tuple[int, ...], own: list[slice], seen: list[slice], trained: list[slice], num_outputs: int
) -> None:
    heads = head_map(scenario, counts)
    assert (heads.name, heads.num_tasks, heads.num_outputs) == (scenario, 3, num_outputs)
    assert [heads.own(task) for task in range(3)] == own
    assert [heads.seen(task) for task in range(3)] == seen
    assert [heads.trained(task) for task in range(3)] == trained
    for task in range(3):
        assert [output for output in range(num_outputs) if task in heads.tasks_of(output)] == list(
            range(own[task].start, own[task].stop)
        )
        labels = torch.arange(counts[task])
        assert heads.label(labels, task).tolist() == list(range(own[task].start, own[task].stop))


def test_where_the_task_is_told_its_own_head_is_read() -> None:
    heads = head_map("cl1", COUNTS)
    assert [heads.read(task, latest=2) for task in range(3)] == OWN


@pytest.mark.parametrize(("scenario", "counts", "read"), [("cl2", (3, 3, 3), SHARED), ("cl3", COUNTS, SEEN)])
def test_where_it_is_not_told_all_that_was_learned_is_read(
    scenario: str, counts: tuple[int, ...], read: list[slice]
) -> None:
    heads = head_map(scenario, counts)
    assert [heads.read(None, latest) for latest in range(3)] == read


def test_a_shared_head_needs_equal_numbers_of_classes() -> None:
    with pytest.raises(UserError, match=r"^scenario=cl2: .* have 2, 3, 2 classes; use scenario=cl1 or cl3$"):
        head_map("cl2", COUNTS)


@pytest.mark.parametrize(
    ("scenario", "right"),
    [
        ("cl1", [True, True, False, False, False]),
        ("cl2 separate", [True, True, False, True, False]),  # the class counts, in whichever head it was read
        ("cl3", [True, True, False, False, False]),
    ],
)
def test_right_answers_with_a_head_for_each_task(scenario: str, right: list[bool]) -> None:
    heads = head_map(scenario, (3, 3))
    outputs, labels = torch.tensor([3, 5, 4, 1, 2]), torch.tensor([0, 2, 0, 1, 0])
    assert heads.correct(outputs, labels, task=1).tolist() == right


def test_right_answers_with_one_head() -> None:
    assert head_map("cl2", (3, 3)).correct(torch.tensor([0, 2]), torch.tensor([0, 1]), 1).tolist() == [True, False]


def test_one_head_cannot_tell_classes_apart() -> None:
    with pytest.raises(ValidationError, match=r"heads=shared needs classes=shared"):
        ScenarioSettings(name="x", task_known=False, heads="shared", classes="separate")


@pytest.mark.parametrize(
    ("known", "heads", "classes", "expected"),
    [(True, "separate", "shared", False), (False, "separate", "shared", True), (False, "shared", "shared", False)],
)
def test_when_a_task_must_be_inferred(known: bool, heads: str, classes: str, expected: bool) -> None:
    assert ScenarioSettings(name="x", task_known=known, heads=heads, classes=classes).must_infer == expected  # type: ignore[arg-type]


def test_own_heads_of_unequal_sizes_are_filled_up() -> None:
    heads = head_map("cl3", COUNTS)
    logits = torch.randn(2, 4, 7)
    own = gather_heads(logits, heads, [0, 2])
    assert own.shape == (2, 4, 3)
    assert torch.equal(own[0, :, :2], logits[0, :, 0:2]) and torch.equal(own[1, :, :2], logits[1, :, 5:7])
    assert own[:, :, 2].eq(-torch.inf).all()

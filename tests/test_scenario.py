"""Which outputs exist, which are trained and which are read, in the three scenarios."""

import pytest
import torch
from builders import head_map

from hnet_cl.errors import UserError

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

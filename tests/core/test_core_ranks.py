"""What several processes add up, and how they end together."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import forked
from torch import nn

from hnet_cl.core.errors import UserError
from hnet_cl.core.processes import Place, place
from hnet_cl.core.ranks import FollowerError, Ranks, join

CPU = torch.device("cpu")


def joined(batch_size: int = 3, pending: bool = False) -> Ranks:
    found = join(place(), CPU, batch_size, lambda: pending)
    assert found is not None
    return found


def alone(rank: int, size: int) -> Ranks:
    """A process that only divides."""
    return Ranks(Place(rank, size), torch.distributed.HashStore(), CPU, size, lambda: False)


def test_a_process_alone_joins_nothing() -> None:
    assert join(Place(), CPU, 3, lambda: False) is None


@pytest.mark.parametrize(("number", "size", "together"), [(10, 3, 1), (2, 3, 1), (10, 2, 4), (0, 2, 1), (7, 3, 7)])
def test_parts_are_disjoint_and_cover_all_examples(number: int, size: int, together: int) -> None:
    parts = [range(number)[alone(rank, size).part(number, together)] for rank in range(size)]
    assert [example for part in parts for example in part] == [*range(number)]
    assert all(part.start % together == 0 for part in parts if part)
    whole = [len(part) for part in parts]
    assert max(whole) - min(whole) <= together


def test_parts_by_hand() -> None:
    assert [alone(rank, 2).part(13) for rank in range(2)] == [slice(0, 6), slice(6, 13)]
    assert [alone(rank, 2).part(10, 4) for rank in range(2)] == [slice(0, 4), slice(4, 10)]


def test_what_processes_add_up(tmp_path: Path) -> None:
    """Of a batch of three, the first process has one example and the second has two."""

    def work(rank: int) -> list[Any]:
        ranks = joined(pending=rank == 1)
        first, second, third = (nn.Parameter(torch.zeros(size)) for size in ((2,), (1, 1), (1,)))
        first.grad = torch.tensor([3.0, 6.0]) if rank == 0 else torch.tensor([9.0, 0.0])
        second.grad = torch.tensor([[-3.0]]) if rank == 0 else None
        assert not ranks.asked
        ranks.average([first, second, third])
        mean = ranks.mean({"loss": torch.tensor(1.0 if rank == 0 else 4.0)})["loss"]
        total = ranks.total(torch.tensor([rank + 1, 10]))
        assert first.grad is not None and second.grad is not None
        return [
            first.grad.tolist(),
            second.grad.tolist(),
            third.grad,
            ranks.asked,
            mean.item(),
            total.tolist(),
            ranks.from_first(5 + rank),
            ranks.agree([1, 2]),
            ranks.agree([1, rank]),
        ]

    # (3 + 2 * 9) / 3 and (6 + 2 * 0) / 3; (-3 + 2 * 0) / 3; (1 + 2 * 4) / 3
    expected = [[7.0, 2.0], [[-1.0]], None, True, 3.0, [3, 20], 5, True, False]
    assert forked(2, work, tmp_path) == [expected, expected]


def test_a_process_that_fails_tells_the_first_one_why(tmp_path: Path) -> None:
    def work(rank: int) -> str:
        ranks = joined()
        with pytest.raises(UserError) as error, ranks.failing_together():
            if rank == 1:
                raise ValueError("no such file")
            ranks.total(torch.zeros(1))
        assert isinstance(error.value, FollowerError) == (rank == 1)
        with pytest.raises(UserError, match="an earlier run of this program has failed"):
            joined()
        return str(error.value)

    assert forked(2, work, tmp_path) == ["process 1: ValueError: no such file", "ValueError: no such file"]


def test_a_process_that_is_killed_ends_the_others(tmp_path: Path) -> None:
    def work(rank: int) -> str:
        ranks = joined()
        if rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        with pytest.raises(UserError) as error, ranks.failing_together():
            ranks.total(torch.zeros(1))
        return str(error.value)

    left, killed = forked(2, work, tmp_path)
    assert left.startswith("another process of this run has ended; the same command continues")
    assert killed is None

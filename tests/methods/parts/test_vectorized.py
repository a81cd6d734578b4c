"""Several tasks' networks at once or one by one: the same, and no surprises in the choice."""

from collections.abc import Callable, Sequence

import pytest
import torch
from networks import NETWORKS, TASKS_ONE_BY_ONE
from torch import Tensor

from hnet_cl.hypernet import TargetNetwork
from hnet_cl.methods.parts.vectorized import at_once, obstacle, one_by_one


def several(kind: str) -> tuple[TargetNetwork, Tensor, Tensor, Sequence[dict[str, Tensor]]]:
    target = TargetNetwork(NETWORKS[kind](3)).train(False)
    weights = 0.5 * torch.randn(4, target.layout.total)
    buffers = [target.fresh_buffers() for _ in weights]
    for task, own in enumerate(buffers):
        for buffer in own.values():
            if buffer.is_floating_point():
                buffer.add_(0.1 * task)
    return target, weights, torch.randn(5, 2), buffers


@torch.no_grad()
@pytest.mark.parametrize("kind", [kind for kind in NETWORKS if kind not in TASKS_ONE_BY_ONE])
def test_both_ways_give_the_same(kind: str) -> None:
    given = several(kind)
    fast, slow = at_once(*given), one_by_one(*given)
    assert fast.shape == (4, 5, 3) and not torch.equal(fast[0], fast[1])
    rounding = 0.05 if kind == "bfloat16" else 1e-6
    torch.testing.assert_close(fast, slow, rtol=rounding, atol=rounding)
    assert obstacle(lambda: [at_once(*given)], lambda: [one_by_one(*given)]) is None


@torch.no_grad()
@pytest.mark.parametrize("kind", sorted(TASKS_ONE_BY_ONE))
def test_what_vmap_does_not_know_has_a_short_reason(kind: str) -> None:
    given = several(kind)
    reason = obstacle(lambda: [at_once(*given)], lambda: [one_by_one(*given)])
    assert reason and "\n" not in reason and not reason.endswith(".")


def raising(error: BaseException) -> Callable[[], Sequence[Tensor]]:
    def way() -> Sequence[Tensor]:
        raise error

    return way


def test_what_counts_as_the_same() -> None:
    one, nothing, broken = torch.tensor([1.0, -3.0, 0.0]), torch.empty(0), torch.tensor([torch.nan, 1.0])
    assert obstacle(lambda: [one + 1e-3, nothing, broken], lambda: [one, nothing, broken]) is None
    assert obstacle(lambda: [one + 1], lambda: [one]) == "it gives other results"
    assert obstacle(lambda: [one], lambda: [torch.zeros(3)]) == "it gives other results"
    assert obstacle(lambda: [torch.ones(2)], lambda: [broken]) == "it gives other results"
    assert obstacle(raising(KeyError()), lambda: [one]) == "KeyError"
    assert obstacle(raising(RuntimeError("Such a thing. And more.\nAnd more")), lambda: [one]) == "Such a thing"


def test_mistakes_and_lack_of_memory_are_no_obstacles() -> None:
    with pytest.raises(ZeroDivisionError):
        obstacle(lambda: [], raising(ZeroDivisionError()))
    with pytest.raises(torch.OutOfMemoryError):
        obstacle(raising(torch.OutOfMemoryError()), lambda: [])

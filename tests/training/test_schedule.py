"""The learning rate over the steps of a task, of all optimisers that a learner uses."""

import copy
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from builders import (
    CLOSED_FORM,
    LR,
    METHODS,
    SETTINGS,
    adam,
    blobs,
    learner,
    rows_of,
    same_state,
    small_target,
    training,
)
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Learner
from hnet_cl.training.optimizers import scheduler_factory
from hnet_cl.training.trainer import Start

COSINE = {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": "steps_per_task", "eta_min": 0.001}
ONE_CYCLE = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.1, "total_steps": "steps_per_task"}
MULTI_STEP = {"_target_": "torch.optim.lr_scheduler.MultiStepLR", "milestones": [2, 3], "gamma": 0.5}


def scheduled(method: str, node: dict[str, Any], optimizer: Any = adam, **changes: Any) -> Any:
    """A learner of the toy tasks whose setup has a scheduler."""
    made = learner(method, blobs(), "cl3" if method in ("hnet_r", "hnet_tir", "dgr") else "cl1", optimizer=optimizer)
    setup = replace(made.context, make_scheduler=scheduler_factory(node))
    return METHODS[method](METHODS[method].Settings(**({"name": method} | SETTINGS[method] | changes)), setup)


def options_seen(made: Learner, steps: int, name: str = "lr") -> list[list[Any]]:
    """What all optimisers had at each step, in the order of the steps: one value where they agree."""
    seen: list[list[Any]] = []
    step = made.step

    def recorded(*batch: Tensor) -> dict[str, Tensor]:
        values = [group[name] for one in made.optimizers() for group in one.param_groups]
        seen.append(sorted(set(values)))
        return step(*batch)

    made.step = recorded  # type: ignore[method-assign]
    list(rows_of(made, blobs().tasks, training(iterations=steps), []))
    return seen


def cosine(done: int, steps: int) -> float:
    return 0.001 + (LR - 0.001) * (1 + math.cos(math.pi * done / steps)) / 2


@pytest.mark.parametrize("method", sorted(METHODS.keys() - CLOSED_FORM))
def test_every_optimiser_follows_a_cosine_in_every_task(method: str) -> None:
    seen = options_seen(scheduled(method, COSINE), 4)
    assert seen == [[pytest.approx(cosine(done, 4))] for done in range(4)] * 3


def test_milestones_are_steps_of_the_task() -> None:
    assert options_seen(scheduled("finetune", MULTI_STEP), 4) == [[LR], [LR], [LR / 2], [LR / 4]] * 3


def test_an_optimiser_that_lives_on_starts_each_task_with_its_own_rate() -> None:
    seen = options_seen(scheduled("ewc", COSINE, reset_optimizer=False), 3)
    assert seen[0] == seen[3] == seen[6] == [LR]


@pytest.mark.parametrize("name", ["lr", "betas"])
def test_a_scheduler_may_change_more_than_the_rate(name: str) -> None:
    """Against torch's own use of it: one scheduler on the optimiser itself."""
    optimizer = adam([nn.Parameter(torch.zeros(1))])
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=5)
    expected = []
    for _ in range(5):
        expected.append([optimizer.param_groups[0][name]])
        optimizer.step()
        scheduler.step() if len(expected) < 5 else None
    assert options_seen(scheduled("hnet", ONE_CYCLE), 5, name) == expected * 3
    assert len({str(value) for value in expected}) >= 4  # it does change


def test_a_scheduler_for_fewer_steps_is_one_line() -> None:
    made = scheduled("finetune", ONE_CYCLE | {"total_steps": 2})
    with pytest.raises(UserError, match=r"^lr_scheduler: OneCycleLR after step 3 of a task raises ValueError: Tried"):
        list(rows_of(made, blobs().tasks, training(iterations=4), []))


@pytest.mark.parametrize("method", ["hnet", "ewc", "dgr"])
@pytest.mark.parametrize("node", [COSINE, ONE_CYCLE], ids=["cosine", "one cycle"])
def test_a_task_goes_on_in_its_middle_bit_for_bit(method: str, node: dict[str, Any]) -> None:
    def interrupted(made: Learner) -> dict[str, Any]:
        kept: dict[str, Any] = {}

        def pause(iteration: int, state: Any) -> None:
            if (made.latest, iteration) == (1, 7):
                kept["state"] = copy.deepcopy(state())
                raise InterruptedError

        rows = rows_of(made, blobs().tasks, settings, [], pause=pause)
        next(rows)
        kept["task"] = copy.deepcopy(made.state_dict())
        with pytest.raises(InterruptedError):
            next(rows)
        return kept

    settings = training(iterations=12)
    whole, resumed = scheduled(method, node), scheduled(method, node)
    rows = list(rows_of(whole, blobs().tasks, settings, []))
    kept = interrupted(scheduled(method, node))
    resumed.load_state_dict(kept["task"])
    assert list(rows_of(resumed, blobs().tasks, settings, [], Start(1, 7, kept["state"]))) == rows[1:]
    assert same_state(whole.state_dict(), resumed.state_dict())


def test_without_a_schedule_optimisers_keep_their_own_rates() -> None:
    def two_rates(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        first, *others = parameters
        return torch.optim.SGD([{"params": [first], "lr": 0.2}, {"params": others}], lr=0.1)

    made = learner("finetune", blobs(), target=small_target, optimizer=two_rates)
    assert options_seen(made, 2) == [[0.1, 0.2]] * 6

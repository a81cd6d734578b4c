"""Processes that share batches and tests learn what one process learns."""

from pathlib import Path
from typing import Any

import pytest
import torch
from builders import CPU, METHODS, blobs, maker, rows_of, training
from ranks import forked

from hnet_cl.core.processes import place
from hnet_cl.core.ranks import join
from hnet_cl.methods.base import Context
from hnet_cl.training.listener import Listener

BATCH = 13  # not divisible by the numbers of processes here
OTHERS = ["scratch", "finetune", "joint", "ewc", "si", "mas", "lwf", "owm", "gpm", "xdg"]  # besides hnet


class Losses(Listener):
    """Keeps all losses that are logged."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def losses(self, task: int, iteration: int, losses: Any) -> None:
        self.seen += losses.values()


def numbers(method: str, scenario: str, steps: int) -> tuple[list[float], list[Any], list[float]]:
    """Losses, rows of scores and final weights after so many steps on each of two tasks."""
    benchmark, heard = blobs(num_tasks=2, spread=0.6), Losses()
    make, context = maker(method, benchmark, scenario)
    ranks = join(place(), CPU, BATCH, lambda: False)
    made = make(Context(**{**vars(context), "ranks": ranks}))
    short = training(iterations=steps, batch_size=BATCH)
    rows = [row.scores for row in rows_of(made, benchmark.tasks, short, [heard])]
    weights = torch.cat([weight.detach().flatten() for weight in made.parameters()])
    return heard.seen, rows, weights.tolist()


def assert_same(method: str, scenario: str, steps: int, folder: Path) -> None:
    """Two processes agree bit for bit, and with one process up to rounding."""
    losses, rows, weights = numbers(method, scenario, steps)
    first, second = forked(2, lambda _: numbers(method, scenario, steps), folder)
    assert first == second
    assert first[0] == pytest.approx(losses, rel=1e-5, abs=1e-5)
    assert first[1] == rows
    assert first[2] == pytest.approx(weights, rel=1e-5, abs=1e-5)


def test_two_processes_learn_in_100_steps_what_one_learns(tmp_path: Path) -> None:
    assert_same("hnet", "cl1", 50, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "scenario"), [*((method, "cl1") for method in OTHERS), ("hnet_ent", "cl3")])
def test_so_they_do_with_all_divisible_methods(method: str, scenario: str, tmp_path: Path) -> None:
    assert_same(method, scenario, 12, tmp_path)


def test_which_methods_are_divisible() -> None:
    assert {name for name, kind in METHODS.items() if kind.divisible} == {"hnet", "hnet_ent", "hnet_tir", *OTHERS}

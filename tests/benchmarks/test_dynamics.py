"""Pendulums and cart-poles: the laws of mechanics, and data that are standardised alike in all tasks."""

from math import cos, pi, sin
from typing import Any

import pytest
import torch
from builders import CPU
from torch import Tensor

from hnet_cl.benchmarks.dynamics import STEPS, CartPole, Dynamics, Pendulum, episodes
from hnet_cl.core.seeding import stream

SETTINGS: dict[str, Any] = {
    "name": "dynamics",
    "system": "pendulum",
    "num_tasks": None,
    "train_episodes": 20,
    "test_episodes": 4,
    "seed": 42,
}


def make(**changes: Any) -> Dynamics:
    return Dynamics(Dynamics.Settings(**(SETTINGS | changes)), None, CPU)


def state(*numbers: float) -> Tensor:
    return torch.tensor([numbers], dtype=torch.float64)


def test_a_pendulum_by_hand() -> None:
    """A rod with moment of inertia 1/3 turns by gravity at its middle, g/2 sin, and by the torque."""
    velocity = 0.3 + 0.05 * (14 / 2 * sin(0.5) + 1.2) / (1 / 3)
    (found,) = Pendulum(14.0).next(state(0.5, 0.3), torch.tensor([1.2])).tolist()
    assert found == pytest.approx([0.5 + 0.05 * velocity, velocity])
    assert Pendulum(10.0).next(state(pi / 2, 7.9), torch.tensor([2.0]))[0, 1] == 8


def test_a_pendulum_swings_with_its_period() -> None:
    """Hanging, in small swings: angular frequency sqrt(3 g / 2)."""
    system, now, crossings = Pendulum(10.0), state(pi + 0.01, 0.0), []
    for step in range(400):
        before, now = now, system.next(now, torch.zeros(1))
        if (before[0, 0] - pi) * (now[0, 0] - pi) < 0:
            crossings.append(step * system.step_s)
    half_period = (crossings[-1] - crossings[0]) / (len(crossings) - 1)
    assert half_period == pytest.approx(pi / (1.5 * 10) ** 0.5, rel=0.01)


def test_a_cart_pole_obeys_the_equations_of_motion() -> None:
    """Lagrange's two equations, for a pole of mass m and length 2 l with moment of inertia m l^2 / 3."""
    length, angle, spin, force = 0.8, 0.7, 1.5, 4.0
    now = state(0.2, -0.4, angle, spin)
    change = (CartPole(length).next(now, torch.tensor([force])) - now)[0] / CartPole.step_s
    assert change[[0, 2]].tolist() == pytest.approx([-0.4, spin])
    acceleration, turn = change[[1, 3]].tolist()
    m, half = CartPole.pole_mass, length / 2
    along = CartPole.mass * acceleration + m * half * (turn * cos(angle) - spin**2 * sin(angle))
    around = 4 / 3 * half * turn + acceleration * cos(angle) - 9.8 * sin(angle)
    assert along == pytest.approx(force) and around == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("system", "numbers", "tasks"), [("pendulum", 3, 5), ("cartpole", 4, 10)])
def test_shapes_and_scales(system: str, numbers: int, tasks: int) -> None:
    benchmark = make(system=system)
    assert benchmark.in_shape == (numbers + 1,) and benchmark.class_counts == (numbers,) * tasks
    first, last = benchmark.tasks[0].train, benchmark.tasks[-1].train
    assert first.images.shape == (20 * STEPS, numbers + 1) and first.labels.shape == (20 * STEPS, numbers)
    for part in (first.images, first.labels):
        torch.testing.assert_close(part.mean(0), torch.zeros(part.shape[1]), atol=1e-5, rtol=0)
        torch.testing.assert_close(part.std(0), torch.ones(part.shape[1]))
    assert (last.labels.std(0) - 1).abs().max() > 0.05  # the scale is that of the first task
    assert len(make(system=system, num_tasks=2).tasks) == 2


def test_labels_are_the_next_states_differences() -> None:
    inputs, changes = episodes(Pendulum(10.0), 3, stream(1))
    before, after = inputs[:-3], inputs[3:]  # three episodes side by side
    torch.testing.assert_close(before[:, :3] + changes[:-3], after[:, :3])


def test_more_tasks_than_there_are_is_one_line() -> None:
    settings = Dynamics.Settings(**(SETTINGS | {"num_tasks": 6}))
    assert Dynamics.unsupported(settings, None) == "num_tasks=6: system=pendulum has 5 tasks; give at most 5"

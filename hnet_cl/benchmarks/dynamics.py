"""Dynamics of pendulums and cart-poles that differ from task to task, learned from the data of a random policy.

The tasks are those of Huang, Xie, Bharadhwaj and Shkurti, Continual model-based reinforcement learning with
hypernetworks (ICRA 2021): one network predicts by how much state and action change the state. Here no policy is
learned, and simple integrators stand in for their simulator.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from hnet_cl.benchmarks.base import Benchmark, Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.scores import NMSE
from hnet_cl.core.seeding import Stream, stream
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity

STEPS = 50  # of an episode
BYTES = 4 * 10  # of an example, at most: state, action and change of the state, in float32
GRAVITIES = (10.0, 12.0, 14.0, 16.0, 18.0)  # m/s^2, in the order of Huang et al.
POLE_LENGTHS = (0.6, 0.8, 0.4, 1.0, 1.2, 0.7, 0.5, 0.9, 1.1, 1.3)  # m, in their order


class System(ABC):
    """A mechanical system with one action; states are (n, d), actions (n,)."""

    largest_action: ClassVar[float]
    numbers: ClassVar[tuple[str, ...]]  # names of the d numbers of an observed state
    step_s: ClassVar[float]  # seconds

    @abstractmethod
    def start(self, episodes: int, rng: Generator) -> Tensor:
        """Draws the first states (episodes, d)."""

    @abstractmethod
    def next(self, state: Tensor, action: Tensor) -> Tensor:
        """Computes the states (n, d) one step later."""

    @abstractmethod
    def observed(self, state: Tensor) -> Tensor:
        """Returns states as a network sees them (n, len(numbers))."""


@dataclass(frozen=True)
class Pendulum(System):
    """A rod of 1 m and 1 kg that a torque swings, as in OpenAI Gym's Pendulum; state (angle from the top, velocity)."""

    gravity: float
    largest_action: ClassVar[float] = 2.0  # N m
    numbers: ClassVar[tuple[str, ...]] = ("cos", "sin", "velocity")
    step_s: ClassVar[float] = 0.05
    fastest: ClassVar[float] = 8.0  # rad/s

    def start(self, episodes: int, rng: Generator) -> Tensor:
        return _uniform((pi, 1.0), episodes, rng)

    def next(self, state: Tensor, action: Tensor) -> Tensor:
        angle, velocity = state.unbind(1)
        acceleration = 1.5 * self.gravity * angle.sin() + 3 * action
        velocity = (velocity + self.step_s * acceleration).clamp(-self.fastest, self.fastest)
        return torch.stack([angle + self.step_s * velocity, velocity], 1)

    def observed(self, state: Tensor) -> Tensor:
        angle, velocity = state.unbind(1)
        return torch.stack([angle.cos(), angle.sin(), velocity], 1)


@dataclass(frozen=True)
class CartPole(System):
    """A cart of 1 kg with a pole of 0.1 kg that a force pushes; state (position, velocity, angle from the top, its).

    Equations of Barto, Sutton and Anderson (1983) without friction, as in OpenAI Gym's CartPole, but for any force, and
    without an end where the pole has fallen.
    """

    length: float
    largest_action: ClassVar[float] = 10.0  # N
    numbers: ClassVar[tuple[str, ...]] = ("position", "velocity", "angle", "angular velocity")
    step_s: ClassVar[float] = 0.02
    gravity: ClassVar[float] = 9.8
    pole_mass: ClassVar[float] = 0.1
    mass: ClassVar[float] = 1.1  # of cart and pole

    def start(self, episodes: int, rng: Generator) -> Tensor:
        return _uniform((1.0, 1.0, pi, 1.0), episodes, rng)

    def next(self, state: Tensor, action: Tensor) -> Tensor:
        _, velocity, angle, spin = state.unbind(1)
        half, sin, cos = self.length / 2, angle.sin(), angle.cos()
        push = (action + self.pole_mass * half * spin.square() * sin) / self.mass
        turn = (self.gravity * sin - cos * push) / (half * (4 / 3 - self.pole_mass * cos.square() / self.mass))
        acceleration = push - self.pole_mass * half * turn * cos / self.mass
        return state + self.step_s * torch.stack([velocity, acceleration, spin, turn], 1)

    def observed(self, state: Tensor) -> Tensor:
        return state


def _uniform(bounds: Sequence[float], episodes: int, rng: Generator) -> Tensor:
    """Draws states (episodes, len(bounds)), each number between minus and plus its bound."""
    return torch.tensor(bounds) * (2 * torch.rand(episodes, len(bounds), generator=rng) - 1)


SYSTEMS: Mapping[str, Sequence[tuple[str, System]]] = {
    "pendulum": [(f"gravity {value:g}", Pendulum(value)) for value in GRAVITIES],
    "cartpole": [(f"pole {value:g} m", CartPole(value)) for value in POLE_LENGTHS],
}


class Dynamics(Benchmark):
    """Regression of the change of the state in a step, from state and action; a system with another constant per task.

    A random policy, uniform among all actions, runs episodes of 50 steps from random states. Test examples are of other
    episodes than training examples. Inputs and labels are standardised, all tasks' alike: with means and standard
    deviations of the first task's training examples.
    """

    score = NMSE

    class Settings(base.Settings):
        name: str
        system: Literal["pendulum", "cartpole"]
        train_episodes: base.Size
        test_episodes: base.Size
        num_tasks: Annotated[int, Field(ge=1)] | None
        seed: int

    def __init__(self, settings: Settings, dataset: None, device: torch.device) -> None:
        systems = SYSTEMS[settings.system][: settings.num_tasks]
        names = systems[0][1].numbers
        self.in_shape = (len(names) + 1,)
        self.tasks = []
        drawn: list[Tensor] = []
        for task, (name, system) in enumerate(systems):
            rng = stream(settings.seed, Stream.DYNAMICS, task)
            raw = [episodes(system, number, rng) for number in (settings.train_episodes, settings.test_episodes)]
            drawn += [part for pair in raw for part in pair]
            if task == 0:
                scales = [(part.mean(0), part.std(0)) for part in raw[0]]
            train, test = (_split(*pair, scales, device) for pair in raw)
            self.tasks.append(Task(task, name, train, test, len(names), class_names=names, kind="regression"))
        self.data = DataIdentity(settings.system, "simulated", fingerprint(*drawn), fixed=True)

    @classmethod
    def memory(cls, settings: Settings, dataset: None) -> int:
        """Returns about the bytes that all examples take."""
        tasks = len(SYSTEMS[settings.system][: settings.num_tasks])
        return tasks * (settings.train_episodes + settings.test_episodes) * STEPS * BYTES

    @classmethod
    def unsupported(cls, settings: Settings, dataset: None) -> str | None:
        most = len(SYSTEMS[settings.system])
        if settings.num_tasks is None or settings.num_tasks <= most:
            return None
        return f"num_tasks={settings.num_tasks}: system={settings.system} has {most} tasks; give at most {most}"


def episodes(system: System, number: int, rng: Generator) -> tuple[Tensor, Tensor]:
    """Runs a random policy; returns states and actions (number * STEPS, d + 1), and changes of the state (.., d)."""
    state = system.start(number, rng)
    inputs, changes = [], []
    for _ in range(STEPS):
        action = system.largest_action * (2 * torch.rand(number, generator=rng) - 1)
        following = system.next(state, action)
        before, after = system.observed(state), system.observed(following)
        inputs.append(torch.cat([before, action[:, None]], 1))
        changes.append(after - before)
        state = following
    return torch.cat(inputs), torch.cat(changes)


def _split(inputs: Tensor, changes: Tensor, scales: Sequence[tuple[Tensor, Tensor]], device: torch.device) -> Split:
    (mean, std), (mean_change, std_change) = scales
    standard = ((inputs - mean) / std).to(device), ((changes - mean_change) / std_change).to(device)
    return Split(*standard, torch.Tensor.float)

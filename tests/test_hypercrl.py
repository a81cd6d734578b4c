"""The example of model-based reinforcement learning: rewards, planners, and runs that are short and interrupted."""

import importlib.util
import json
import sys
from functools import partial
from math import cos, exp, pi, sin
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

SHORT = (
    "tasks=2",
    "rounds=2",
    "episodes=2",
    "random_episodes=1",
    "steps=8",
    "test_episodes=2",
    "training.iterations=5",
)


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hypercrl", Path(__file__).parents[1] / "examples" / "hypercrl.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hypercrl"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


hypercrl = loaded()


def gymnasium() -> Any:
    return pytest.importorskip("gymnasium", reason="needs the extra rl: pip install 'hnet-cl[rl]'")


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_it_is_short() -> None:
    lines = Path(hypercrl.__file__).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 400


def test_the_reward_of_a_pendulum_is_that_of_angle_velocity_and_torque() -> None:
    states = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 2.0], [cos(0.5), sin(0.5), -1.0]])
    found = hypercrl.Pendulum(10.0).reward(states, torch.tensor([0.0, 1.0, -0.5]))
    expected = [0.0, -(pi**2 + 0.1 * 4 + 0.001 * 4), -(0.25 + 0.1 + 0.001)]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_the_reward_of_a_cart_pole_falls_with_the_distance_of_its_tip() -> None:
    system = hypercrl.CartPole(0.5)
    upright, hanging, aside = [0.0, 0, 1, 0, 0], [0.0, 0, -1, 0, 0], [0.25, 0, 0, 1, 0]
    found = system.reward(torch.tensor([upright, hanging, aside]), torch.tensor([0.0, 1.0, 0.0]))
    distances = [0.0, 1.0, (0.75**2 + 0.5**2) ** 0.5]  # m
    expected = [exp(-((d / 0.5) ** 2)) for d in distances]
    torch.testing.assert_close(found, torch.tensor(expected) - torch.tensor([0.0, 0.01, 0.0]))


def test_rewards_and_motion_are_those_of_gymnasium() -> None:
    gymnasium()
    pendulum, state = hypercrl.Pendulum(14.0), torch.tensor([cos(2.0), sin(2.0), 1.5])
    env, _ = pendulum.start(3)
    env.state = (2.0, 1.5)
    _, reward, *_ = env.step([2 * 0.7])
    torch.testing.assert_close(pendulum.reward(state, torch.tensor(0.7)), torch.tensor(float(reward)))
    assert env.state[1] == pytest.approx(1.5 + 0.05 * (1.5 * 14 * sin(2.0) + 3 * 1.4))  # v + dt (3 g / 2 l sin + 3 u)


def test_a_cart_pole_has_the_length_and_the_force_it_is_given() -> None:
    """Equations of Barto, Sutton and Anderson (1983) for a pole of 0.8 m at an angle of 0.3, two steps of Euler's."""
    gymnasium()
    system = hypercrl.CartPole(0.8)
    env, seen = system.start(3)
    assert seen[2] == pytest.approx(-1, abs=0.1)  # it hangs
    env.state = (0.0, 0.5, 0.3, -1.0)
    found = system.move(env, -0.35)
    position, velocity, angle, spin = 0.0, 0.5, 0.3, -1.0
    for _ in range(2):
        push = (-7 + 0.1 * 0.4 * spin**2 * sin(angle)) / 1.1
        turn = (9.8 * sin(angle) - cos(angle) * push) / (0.4 * (4 / 3 - 0.1 * cos(angle) ** 2 / 1.1))
        acceleration = push - 0.1 * 0.4 * turn * cos(angle) / 1.1
        position, velocity = position + 0.02 * velocity, velocity + 0.02 * acceleration
        angle, spin = angle + 0.02 * spin, spin + 0.02 * turn
    assert found.tolist() == pytest.approx([position, velocity, cos(angle), sin(angle), spin], rel=1e-6)


def test_mppi_weighs_plans_by_the_exponential_of_their_value() -> None:
    settings = hypercrl.Settings(horizon=2, samples=3)
    plans = []

    def value(given: Tensor) -> Tensor:
        plans.append(given)
        return torch.tensor([[0.0, 1.0, 3.0]])

    planner = hypercrl.Mppi(1, settings)
    action = planner.act(value, rng())
    weights = torch.tensor([1.0, exp(1), exp(3)]) / (1 + exp(1) + exp(3))
    mean = weights @ plans[0][0]
    torch.testing.assert_close(action, mean[:1])
    torch.testing.assert_close(planner.plan, torch.stack([mean[1], torch.zeros(())])[None])  # shifted by a step
    assert plans[0].shape == (1, 3, 2) and plans[0].abs().max() <= 1


def quadratic(centres: Tensor, plans: Tensor) -> Tensor:
    return -10 * (plans - centres[:, None]).square().sum(2)


def test_cem_finds_the_optimum_of_a_quadratic_for_each_state() -> None:
    centres = torch.tensor([[0.3, -0.6, 0.1], [-0.8, 0.2, 0.5]])
    planner = hypercrl.Cem(2, hypercrl.Settings(horizon=3, samples=400))
    torch.testing.assert_close(planner.act(partial(quadratic, centres), rng()), centres[:, 0], atol=0.03, rtol=0)


def test_mppi_comes_near_the_optimum_of_a_quadratic() -> None:
    centres = torch.tensor([[0.3, 0.3, 0.3], [-0.5, -0.5, -0.5]])
    planner = hypercrl.Mppi(2, hypercrl.Settings(horizon=3, samples=2000))
    actions = [planner.act(partial(quadratic, centres), rng()) for _ in range(10)]
    torch.testing.assert_close(actions[-1], centres[:, 0], atol=0.08, rtol=0)


def test_predicted_rewards_are_those_along_the_predicted_path() -> None:
    """The network says: the velocity falls by half the scaled action, and nothing else changes."""
    system = hypercrl.Pendulum(10.0)
    state, plans = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 3.0]]), torch.tensor([[[1.0, -1.0]], [[0.5, 0.0]]])

    def network(inputs: Tensor) -> Tensor:
        return torch.stack([0 * inputs[:, 0], 0 * inputs[:, 0], -inputs[:, 3] / 2], 1)

    velocities = [[-0.3, 0.0], [3 - 0.15, 3 - 0.15]]  # changes of velocity come in units of 0.6
    costs = [0.001 * 4 * 2, 0.001 * 1]
    expected = [[-0.1 * sum(v**2 for v in row) - cost] for row, cost in zip(velocities, costs, strict=True)]
    torch.testing.assert_close(hypercrl.predicted(system, network, state, plans), torch.tensor(expected))


def test_a_bad_network_predicts_finite_rewards() -> None:
    plans = torch.ones(1, 2, 50)
    worst = hypercrl.predicted(hypercrl.Pendulum(10.0), lambda inputs: 1e30 * inputs[:, :3], torch.ones(1, 3), plans)
    assert worst.isfinite().all()


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("system=acrobot", "system=acrobot: give one of pendulum, cartpole"),
        ("method=joint", "method=joint: give one of hnet, finetune, ewc, si, scratch, coreset"),
        ("tasks=6", "tasks=6: give a whole number from 1 to 5"),
        ("rounds=many", "rounds=many: give a whole number from 1 to 1000000"),
    ],
)
def test_mistakes_are_one_line(
    word: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hypercrl, "find_spec", lambda name: name)
    assert hypercrl.main([word]) == 2
    assert capsys.readouterr().err == f"hypercrl: {line}\n"


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(hypercrl, "find_spec", lambda name: None)
    assert hypercrl.main([]) == 2
    assert capsys.readouterr().err == "hypercrl: gymnasium is not installed; pip install 'hnet-cl[rl]'\n"


def run(folder: Path, *words: str) -> Any:
    gymnasium()
    return hypercrl.Run([*SHORT, f"output_dir={folder}", *words])


@pytest.mark.slow
@pytest.mark.parametrize("method", hypercrl.METHODS)
def test_every_method_fills_the_matrix(method: str, tmp_path: Path) -> None:
    short = run(tmp_path, f"method={method}")
    rewards = short.learn()
    assert [len(row) for row in rewards] == [1, 2] and all(-17 * 8 < reward < 0 for row in rewards for reward in row)
    written = json.loads((short.folder / "matrix.json").read_text())
    assert written["rewards"] == rewards and written["names"] == ["gravity 10", "gravity 12"]
    lines = [line.split(",") for line in (short.folder / "matrix.csv").read_text().splitlines()]
    assert [line[0] for line in lines] == ["after learning", "gravity 10", "gravity 12"]
    assert [[float(number) for number in line[1:]] for line in lines[1:]] == rewards
    assert (short.folder / "matrix.png").read_bytes().startswith(b"\x89PNG")
    if method == "scratch":
        assert rewards[1][0] == rewards[0][0]  # the same network, the same starts
    else:
        assert rewards[1][0] != rewards[0][0]


@pytest.mark.slow
def test_cart_poles_are_learned_too(tmp_path: Path) -> None:
    rewards = run(tmp_path, "system=cartpole", "rounds=1", "samples=20", "steps=4").learn()
    assert [len(row) for row in rewards] == [1, 2] and all(-0.04 < reward < 4 for row in rewards for reward in row)


class StopError(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("method", ["hnet", "coreset"])
def test_an_interrupted_run_ends_as_if_it_had_not_been(method: str, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", f"method={method}").learn()
    for rounds in (1, 2, 1):  # interrupted in the first task, between the two, and in the second
        part, played = run(tmp_path / "parts", f"method={method}"), []

        def stop(*place: int, learn: Any = part._round, played: list[Any] = played, rounds: int = rounds) -> None:
            if len(played) == rounds:
                raise StopError
            played.append(learn(*place))

        part._round = stop
        with pytest.raises(StopError):
            part.learn()
    last = run(tmp_path / "parts", f"method={method}")
    assert last.learn() == whole
    again = run(tmp_path / "parts", f"method={method}")
    again._round = None  # a finished run plays nothing
    assert again.learn() == whole
    anew = run(tmp_path / "parts", f"method={method}", "fresh=true")
    anew._round = stop
    with pytest.raises(StopError):  # it plays again
        anew.learn()

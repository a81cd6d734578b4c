"""Model-based reinforcement learning, task after task, with a network of the dynamics that a hypernetwork generates.

After Huang, Xie, Bharadhwaj and Shkurti, Continual model-based reinforcement learning with hypernetworks (ICRA 2021):
a network learns by how much state and action change the state, and a planner takes the actions whose predicted rewards
are best. Pendulums differ in gravity, cart-poles in the length of their pole. From the folder above this one:

pip install '.[rl]'
python examples/hypercrl.py system=pendulum method=hnet seed=1   # or finetune, ewc, si, coreset, scratch

After each task every task so far is played; mean rewards of episodes are in matrix.json, .csv and .png of the run's
folder. The same command again continues an interrupted run. Words are fields of `Settings`, or keys of hnet_cl, as
training.lr=1e-4 fresh=true. Systems are gymnasium's; shorter than in the paper's code (rvl-lab-utoronto/HyperCRL on
GitHub) are planned steps for each task, 2,000 and 400 in place of 10,000 for a pendulum and 3,000 for a cart-pole,
training, 3 rounds of 500 steps in place of 26 of 1,000 and 16 of 500, and the networks of cart-poles.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from math import pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.build import build_context, build_device, make_learner
from hnet_cl.config.check import check
from hnet_cl.config.composing import compose_job
from hnet_cl.core.atomic_files import refusal, replace_file, write_atomically
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import UserError
from hnet_cl.core.locking import locked
from hnet_cl.core.seeding import derive_seed, stream
from hnet_cl.methods.finetune import Finetune
from hnet_cl.training.checkpointing import Checkpoints


@dataclass(frozen=True)
class Settings:
    """The settings of a run beside hnet_cl's; values without a source are of HyperCRL's code, pendulum."""

    system: str = "pendulum"  # or cartpole
    tasks: int = 5
    random_episodes: int = 2  # before the first training of a task
    rounds: int = 2  # of planned episodes and training, for each task (HyperCRL: 25)
    episodes: int = 5  # in a round, played side by side (HyperCRL: 2)
    steps: int = 200  # of an episode
    test_episodes: int = 5  # of each task after each task
    horizon: int = 15
    samples: int = 100
    coreset: int = 50  # transitions that method=coreset keeps of a task


CARTPOLE = Settings("cartpole", tasks=10, rounds=2, episodes=1, test_episodes=1, horizon=25, samples=400, coreset=30)
WORDS = {  # hnet_cl's settings; training is that of a round, on all data of the task (HyperCRL: 1000; hidden 256, 256)
    "pendulum": "benchmark=dynamics training.iterations=500 training.batch_size=20",
    "cartpole": "benchmark=dynamics_cartpole training.iterations=500 training.batch_size=32 target.hidden=[64,64]",
}
METHODS = {name: name for name in ("hnet", "finetune", "ewc", "si", "scratch")} | {"coreset": "finetune"}  # hnet_cl's


class Pendulum:
    """A rod that a torque of at most 2 N m swings up; a state is (cos, sin, velocity) of its angle from the top."""

    VALUES = (10.0, 12.0, 14.0, 16.0, 18.0)  # gravity in m/s^2
    SCALES = (1.0, 1.0, 4.0)  # of a state's numbers (our choice)
    CHANGES = (0.2, 0.2, 0.6)  # of their changes in a step (our choice)

    def __init__(self, gravity: float) -> None:
        self.gravity = gravity
        self.name = f"gravity {gravity:g}"

    def start(self, seed: int) -> tuple[Any, Any]:
        """Starts an episode; returns gymnasium's environment and the state (3,)."""
        import gymnasium

        env = gymnasium.make("Pendulum-v1", g=self.gravity).unwrapped
        return env, env.reset(seed=seed)[0]

    def move(self, env: Any, action: float) -> Any:
        """Makes a step with an action in -1..1; returns the state (3,)."""
        return env.step([2 * action])[0]

    def reward(self, state: Tensor, action: Tensor) -> Tensor:
        """Computes gymnasium's rewards (...) of actions (...) in states (..., 3)."""
        angle = torch.atan2(state[..., 1], state[..., 0])
        return -(angle.square() + 0.1 * state[..., 2].square() + 0.001 * (2 * action).square())


class CartPole:
    """A cart whose hanging pole a force swings up, of at most 20 N (our choice), held for two steps of gymnasium's.

    A state is (position, velocity, cos, sin, angular velocity), the angle measured from the top.
    """

    VALUES = (0.6, 0.8, 0.4, 1.0, 1.2, 0.7, 0.5, 0.9, 1.1, 1.3)  # length of the pole in m
    SCALES = (1.0, 2.0, 1.0, 1.0, 4.0)
    CHANGES = (0.1, 0.3, 0.2, 0.2, 0.6)

    def __init__(self, length: float) -> None:
        self.length = length
        self.name = f"pole {length:g} m"

    def start(self, seed: int) -> tuple[Any, Any]:
        """Starts an episode near rest; it does not end where pole or cart is far off. Returns as `Pendulum.start`."""
        import gymnasium

        env = gymnasium.make("CartPole-v1").unwrapped
        env.length = self.length / 2  # gymnasium's is half the pole's
        env.polemass_length = env.masspole * env.length
        env.theta_threshold_radians = env.x_threshold = float("inf")
        env.reset(seed=seed)
        env.state = env.np_random.normal((0, 0, pi, 0), 0.1)
        return env, self._seen(env)

    def move(self, env: Any, action: float) -> Any:
        """Pushes the cart with an action in -1..1; returns the state (5,)."""
        env.force_mag = 20 * abs(action)
        for _ in range(2):
            env.step(int(action > 0))
        return self._seen(env)

    def _seen(self, env: Any) -> Any:
        position, velocity, angle, spin = env.state
        return np.array([position, velocity, np.cos(angle), np.sin(angle), spin])

    def reward(self, state: Tensor, action: Tensor) -> Tensor:
        """Computes rewards (...), 1 where the tip of the pole is above the middle, less those of actions (HyperCRL)."""
        across, below = state[..., 0] / self.length + state[..., 3], 1 - state[..., 2]
        return torch.exp(-across.square() - below.square()) - 0.01 * action.square()


System = Pendulum | CartPole
Value = Callable[[Tensor], Tensor]  # the sum of rewards (E, S) of plans (E, S, H): S for each of E states


class Mppi:
    """Model predictive path integral control (Williams et al., 2017), with noise and temperature of 1 (our choice)."""

    def __init__(self, episodes: int, settings: Settings) -> None:
        self.samples = settings.samples
        self.plan = torch.zeros(episodes, settings.horizon)

    def act(self, value: Value, rng: Generator) -> Tensor:
        """Returns the first actions (E,) of the mean of plans, weighted by exp(value), which the next one improves."""
        noise = torch.randn(len(self.plan), self.samples, self.plan.shape[1], generator=rng)
        plans = (self.plan[:, None] + noise).clamp(-1, 1)
        plan = torch.einsum("es,esh->eh", value(plans).softmax(1), plans)
        self.plan = torch.cat([plan[:, 1:], torch.zeros(len(plan), 1)], 1)
        return plan[:, 0]


class Cem:
    """The cross-entropy method, anew in each step: five times a Gaussian of the best tenth, then the best."""

    def __init__(self, episodes: int, settings: Settings) -> None:
        self.shape = episodes, settings.samples, settings.horizon

    def act(self, value: Value, rng: Generator) -> Tensor:
        """Returns the first actions (E,) of the best plans found."""
        centre, spread = torch.zeros(1), torch.ones(1)
        for turn in range(6):
            plans = (centre + spread * torch.randn(self.shape, generator=rng)).clamp(-1, 1)
            best = value(plans).topk(1 if turn == 5 else max(1, self.shape[1] // 10), 1).indices
            elites = plans.take_along_dim(best[:, :, None], 1)
            centre, spread = elites.mean(1, keepdim=True), elites.std(1, correction=0, keepdim=True)
        return elites[:, 0, 0]


SYSTEMS = {"pendulum": (Pendulum, Mppi, Settings()), "cartpole": (CartPole, Cem, CARTPOLE)}


class Coreset(Finetune):
    """Some transitions of each old task are kept, and all of them are learned in each step (HyperCRL's code)."""

    def __init__(self, settings: Any, context: Any, kept: int) -> None:
        super().__init__(settings, context)
        for name, width in (("inputs", *context.in_shape), ("changes", self.heads.widest)):
            self.register_buffer(name, torch.zeros(self.heads.num_tasks, kept, width))

    def loss(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> Tensor:
        outputs = [self.network(self.inputs[task])[:, self.heads.own(task)] for task in range(self.latest)]
        return super().loss(inputs, labels) + sum(map(self.objective.loss, outputs, self.changes))

    def end_task(self) -> None:
        data, kept = self.tasks[-1].train, self.inputs.shape[1]
        order = torch.randperm(len(data), generator=stream(self.context.seed, "coreset", self.latest))
        self.inputs[self.latest], self.changes[self.latest] = data.batch(order[torch.arange(kept) % len(data)])


@torch.inference_mode()
def predicted(system: System, network: Callable[[Tensor], Tensor], state: Tensor, plans: Tensor) -> Tensor:
    """Predicts the sums of rewards (E, S) of plans (E, S, H) from states (E, d)."""
    scales, changes = torch.tensor([*system.SCALES, 1.0]), torch.tensor(system.CHANGES)
    state = state.repeat_interleave(plans.shape[1], 0)
    total = torch.zeros(len(state))
    for action in plans.flatten(0, 1).unbind(1):
        change = changes * network(torch.cat([state, action[:, None]], 1) / scales)
        state = (state + change).clamp(-100, 100)  # finite, however bad the network is
        total += system.reward(state, action)
    return total.view(plans.shape[:2])


def play(system: System, act: Callable[[Tensor], Tensor], seeds: Sequence[int], steps: int) -> tuple[Tensor, ...]:
    """Plays an episode from each seed, all side by side, with actions (E,) that `act` finds for states (E, d).

    Returns:
        Inputs (steps * E, d + 1) and changes (steps * E, d), both divided by their scales, and sums of rewards (E,).
    """
    envs, states = zip(*map(system.start, seeds), strict=True)
    state, total, inputs, changes = torch.from_numpy(np.stack(states)).float(), torch.zeros(len(seeds)), [], []
    for _ in range(steps):
        action = act(state)
        moved = [system.move(*pair) for pair in zip(envs, action.tolist(), strict=True)]
        following = torch.from_numpy(np.stack(moved)).float()
        inputs.append(torch.cat([state, action[:, None]], 1))
        changes.append(following - state)
        total += system.reward(state, action)
        state = following
    scales, change_scales = torch.tensor([*system.SCALES, 1.0]), torch.tensor(system.CHANGES)
    return torch.cat(inputs) / scales, torch.cat(changes) / change_scales, total


class Run:
    """A run, from KEY=VALUE as on the command line; raises a UserError if such a word is wrong."""

    def __init__(self, words: Sequence[str]) -> None:
        if find_spec("gymnasium") is None:
            raise UserError("gymnasium is not installed; pip install 'hnet-cl[rl]'")
        self.settings, self.method, self.words = parse(words)
        kind, self.planner, _ = SYSTEMS[self.settings.system]
        self.systems = [kind(number) for number in kind.VALUES[: self.settings.tasks]]
        job = compose_job(self.words, None)
        self.plan, self.fresh = check(job.settings), job.settings["fresh"]
        if self.plan.training.iterations is None:
            raise UserError("training.iterations=null: give a number of steps, which each round then has")
        own_id = config_id({**job.settings, "hypercrl": {"method": self.method, **asdict(self.settings)}})
        name = f"hypercrl/{self.settings.system}-{self.method}/{own_id}/seed={self.plan.seed}"
        self.folder = Path(job.settings["output_dir"]) / name
        numbers, device = len(kind.SCALES), build_device(self.plan.device)
        context = build_context(self.plan, (numbers + 1,), [numbers] * len(self.systems), device)
        self.learner = make_learner(self.plan, context)
        if self.method == "coreset":
            self.learner = Coreset(self.plan.method, context, self.settings.coreset)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.checkpoints = Checkpoints(self.folder, own_id, processes=1)
        self.progress: dict[str, Any] = {"rewards": [], "cpu_seconds": 0.0}

    def learn(self) -> list[list[float]]:
        """Learns all tasks, from where an earlier run was interrupted; returns the mean rewards after each of them."""
        if self.fresh:
            self.checkpoints.clear()
        restored = self.checkpoints.restore(self.learner)
        self.progress |= restored.progress
        task, done = restored.start.task, restored.start.iteration  # rounds of the next task
        if restored.start.state is not None:
            self._go_on(task, restored.start.state)
        while task < len(self.systems):
            began = time.process_time()
            self._round(task, done)
            done += 1
            if done > self.settings.rounds:
                self.learner.end_task()
                self.progress["rewards"].append([self._tested(old) for old in range(task + 1)])
                task, done = task + 1, 0
            self.progress["cpu_seconds"] += time.process_time() - began
            if done:
                self.checkpoints.in_task(task, done, self._state(), self.progress)
            else:
                self._write()
                self.checkpoints.after_task(task, self.learner, self.progress)
        return self.progress["rewards"]

    def _round(self, task: int, done: int) -> None:
        """Plays episodes of a task, at random in its first round, and learns from all of them so far."""
        given, training = self.settings, self.plan.training
        rng = stream(self.plan.seed, "hypercrl", task, done)
        number = given.episodes if done else given.random_episodes
        act = self._planned(task, number, rng) if done else lambda state: 2 * torch.rand(len(state), generator=rng) - 1
        data = play(self.systems[task], act, self._seeds("start", number, task, done), given.steps)[:2]
        if done:
            earlier = self.tasks[-1].train
            data = torch.cat([earlier.images, data[0]]), torch.cat([earlier.labels, data[1]])
            self.tasks[-1] = self._task(task, *data)  # the learner holds this list
        else:
            self._begin(task, *data)
        for rows in torch.randint(len(data[0]), (training.iterations, training.batch_size), generator=rng):
            self.learner.step(data[0][rows], data[1][rows])

    def _tested(self, task: int) -> float:
        """Computes the mean reward of a task's test episodes, which start alike whenever they are played."""
        number = self.settings.test_episodes
        act = self._planned(task, number, stream(self.plan.seed, "hypercrl test", task))
        return play(self.systems[task], act, self._seeds("test", number, task), self.settings.steps)[2].mean().item()

    def _planned(self, task: int, number: int, rng: Generator) -> Callable[[Tensor], Tensor]:
        network, outputs = self.learner.task_network(task)
        planner = self.planner(number, self.settings)
        predict = partial(predicted, self.systems[task], lambda inputs: network(inputs)[:, outputs])
        return lambda state: planner.act(partial(predict, state), rng)

    def _seeds(self, name: str, number: int, *place: int) -> list[int]:
        return [derive_seed(self.plan.seed, f"hypercrl {name}", *place, episode) % 2**31 for episode in range(number)]

    def _task(self, task: int, inputs: Tensor, changes: Tensor) -> Task:
        split = Split(inputs, changes, Tensor.float)
        return Task(task, self.systems[task].name, split, split, changes.shape[1], kind="regression")

    def _begin(self, task: int, inputs: Tensor, changes: Tensor) -> None:
        old = [self._task(one, inputs[:0], changes[:0]) for one in range(task)]  # their data are gone
        self.tasks = [*old, self._task(task, inputs, changes)]
        self.learner.begin_task(self.tasks)

    def _state(self) -> dict[str, Any]:
        parts, data = self.learner.training_state().items(), self.tasks[-1].train
        moving = {name: part.get_state() if isinstance(part, Generator) else part.state_dict() for name, part in parts}
        return {"state": self.learner.state_dict(), "moving": moving, "data": [data.images, data.labels]}

    def _go_on(self, task: int, state: Mapping[str, Any]) -> None:
        """Restores what `_state` returned, after the state at the start of the task."""
        self._begin(task, *state["data"])
        self.learner.load_state_dict(state["state"])
        for name, part in self.learner.training_state().items():
            restore = part.set_state if isinstance(part, Generator) else part.load_state_dict
            restore(state["moving"][name])

    def _write(self) -> None:
        """Writes the rewards so far: rows are the task learned last, columns the task that was played."""
        names, rewards = [system.name for system in self.systems], self.progress["rewards"]
        result = {"method": self.method, "seed": self.plan.seed, **asdict(self.settings), "words": self.words}
        result |= {"names": names, **self.progress}
        write_atomically(self.folder / "matrix.json", json.dumps(result, indent=1))
        lines = [["after learning", *names], *([name, *row] for name, row in zip(names, rewards, strict=False))]
        write_atomically(self.folder / "matrix.csv", "".join(",".join(map(str, line)) + "\n" for line in lines))
        with replace_file(self.folder / "matrix.png") as part:
            draw(rewards, names, f"{self.settings.system}, {self.method}: mean reward of an episode", part)


def draw(rewards: Sequence[Sequence[float]], names: Sequence[str], title: str, file: Path) -> None:
    """Draws the rewards after each task so far, brighter where they are better, to an image file."""
    figure = Figure(figsize=(2 + len(names), 2 + 0.5 * len(names)), layout="constrained")
    axes = figure.subplots()
    shown = np.array([[*row, *[np.nan] * (len(names) - len(row))] for row in rewards])
    image = axes.imshow(shown, aspect="auto")
    for row, column in zip(*np.tril_indices(len(rewards)), strict=True):
        colour = "white" if image.norm(shown[row, column]) < 0.6 else "black"
        axes.text(column, row, f"{shown[row, column]:.0f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(shown)), names[: len(shown)])
    axes.set(title=title, xlabel="task played", ylabel="task learned last")
    figure.savefig(file, dpi=120)


def parse(words: Sequence[str]) -> tuple[Settings, str, list[str]]:
    """Returns the settings, the method's name and hnet_cl's words, all from KEY=VALUE; raises as `Run`."""
    given = dict(word.partition("=")[::2] for word in words)
    system, method = given.pop("system", "pendulum"), given.pop("method", "hnet")
    for key, value, known in (("system", system, SYSTEMS), ("method", method, METHODS)):
        if value not in known:
            raise UserError(f"{key}={value}: give one of {', '.join(known)}")
    kind, _, settings = SYSTEMS[system]
    own = {name: given.pop(name) for name in asdict(settings) if name in given}
    for name, value in own.items():
        most = len(kind.VALUES) if name == "tasks" else 10**6
        if not value.isdecimal() or not 1 <= int(value) <= most:
            raise UserError(f"{name}={value}: give a whole number from 1 to {most}")
    settings = replace(settings, **{name: int(value) for name, value in own.items()})
    usual = [*WORDS[system].split(), f"benchmark.num_tasks={settings.tasks}", f"method={METHODS[method]}"]
    if method == "hnet":  # generates networks without heads of other tasks
        usual += ["scenario.heads=shared", "scenario.classes=shared"]
        usual += ["method.hypernet.hidden=[32,32]"] if system == "cartpole" else []  # HyperCRL's code: 128, 128
    elif method != "scratch":
        usual += ["method.reset_optimizer=true"]  # as in HyperCRL's code
    return settings, method, [*usual, *(f"{key}={value}" for key, value in given.items())]


def main(words: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    try:
        run = Run(words)
        with locked(run.folder / ".lock"):
            run.learn()
    except (UserError, OSError, KeyboardInterrupt) as error:
        line = refusal(error) if isinstance(error, OSError) else str(error) or "interrupted; the same command continues"
        print(f"hypercrl: {line}", file=sys.stderr)
        return 130 if isinstance(error, KeyboardInterrupt) else 2
    print(run.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

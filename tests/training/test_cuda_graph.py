"""Captured steps are the steps themselves."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import (
    CLASSIFIER,
    CLOSED_FORM,
    FAST,
    GENERATED,
    METHODS,
    OF_HYPERNETWORKS,
    REPLAY,
    begin,
    blobs,
    learned,
    learner,
    rows_of,
)
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from hnet_cl import build
from hnet_cl.config.check import Plan, check
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.methods.base import Learner
from hnet_cl.training import cuda_graph as steps
from hnet_cl.training.trainer import Start, train

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
SMALL = ["benchmark=toy", "benchmark.num_tasks=3", "training.iterations=40", "training.log_every=1"]
CHOICES: Mapping[str, list[str]] = {method: [f"method={method}"] for method in METHODS if method not in CLOSED_FORM} | {
    "blocks": [
        "method=hnet",
        "method/regularizer=blocks",
        "method.regularizer.sampled_blocks=3",
        "method.hypernet.chunk_size=20",
    ],
    "explicit": ["method=hnet", "method/regularizer=explicit"],
    "separate": ["method=hnet", "method.update=separate", "method.lookahead=false"],
    "plastic": ["method=hnet", "method.hypernet.old_embeddings=plastic"],
    "window": ["method=hnet", "training.eval_window=30"],
    "masked": ["method=hnet", "method.mask_heads=true"],
    "hard": ["method=dgr", "method.targets=hard"],
    "decay": ["method=hnet", "training.lr_decay=[[0.4,0.1]]"],
    "cosine": ["method=hnet", "lr_scheduler=cosine"],
    "clipped sgd": ["method=hnet", "optimizer=sgd", "optimizer.momentum=0.9", "training.gradient_clip_norm=1"],
    "bfloat16": ["method=hnet", "device.precision=bfloat16"],
    "ewc_offline": ["method=ewc_offline"],
}
DRAWN = GENERATED | {"regularizer": FAST | {"sampled_tasks": 1}}
TIR = REPLAY | CLASSIFIER | {"targets": "hard", "generator": DRAWN}
SCENARIOS = {
    "hnet_ent": "cl3",
    "hnet_tir": "cl3",
    "hnet_r": "cl3",
    "dgr": "cl3",
    "hard": "cl3",
    "icarl": "cl3",
    "supsup": "cl3",
}


class Losses:
    """A log of every step's losses."""

    def __init__(self) -> None:
        self.heard: list[Mapping[str, float]] = []

    def losses(self, task: int, iteration: int, losses: Mapping[str, float]) -> None:
        self.heard.append(losses)

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def plan(name: str, *overrides: str) -> Plan:
    chosen = [*SMALL, "device=cuda", f"scenario={SCENARIOS.get(name, 'cl1')}", *CHOICES[name], *overrides]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("config", chosen), resolve=True)
    return check(config)


def trained(made: Plan, interrupted_at: int = 0) -> tuple[Learner, list[Any], Losses]:
    """A learner, its rows and losses; with an interruption, from a state in the middle of the second task on."""
    device, losses, states = torch.device("cuda"), Losses(), []
    benchmark = build.build_benchmark(made, Path("unused"), device)
    learners = [build.build_learner(made, benchmark.in_shape, benchmark.class_counts, device) for _ in range(2)]

    def pause(iteration: int, state: Any) -> None:
        if learners[0].latest == 1 and iteration == interrupted_at:
            states.append(torch_copy(state()))
            raise InterruptedError

    try:
        rows = list(rows_of(learners[0], benchmark.tasks, made.training, [losses], pause=pause))
    except InterruptedError:
        before = build.build_learner(made, benchmark.in_shape, benchmark.class_counts, device)
        next(rows_of(before, benchmark.tasks, made.training, []))
        learners[1].load_state_dict(before.state_dict())
        start = Start(1, interrupted_at, states[0])
        rows = list(rows_of(learners[1], benchmark.tasks, made.training, [losses], start))
        return learners[1], rows, losses
    return learners[0], rows, losses


def torch_copy(state: Any) -> Any:
    """A state as it is now: the tensors of a state go on living."""
    if isinstance(state, torch.Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: torch_copy(value) for key, value in state.items()}
    return [torch_copy(value) for value in state] if isinstance(state, list) else state


def assert_same_training(first: Losses, second: Losses) -> None:
    """Equal within float error: kernels may add in another order."""
    assert len(first.heard) == len(second.heard) > 100
    for one, other in zip(first.heard, second.heard, strict=True):
        assert one == pytest.approx(other, rel=2e-3, abs=1e-5)


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each captured step whether it was a replay; the ring of indices is so short that it is used again."""
    seen: list[bool] = []

    class Spy(steps.CapturedSteps):
        def __call__(self, index: torch.Tensor) -> dict[str, torch.Tensor]:
            losses = super().__call__(index)
            seen.append(self._graph is not None)
            return losses

    monkeypatch.setattr(steps, "CapturedSteps", Spy)
    monkeypatch.setattr(steps, "AHEAD", 8)
    return seen


@on_gpu
@pytest.mark.parametrize("name", CHOICES)
def test_captured_steps_train_as_others_do(name: str, replayed: list[bool]) -> None:
    _, rows, losses = trained(plan(name, "device.graph=true"))
    several = ("joint", "gdumb", "icarl", "generative_classifier")  # tasks, or classes, at a time
    if name not in (*several, "hypermask"):  # whose masks thin out from step to step
        lengths = [16, 24] if name == "decay" else [1] * 40 if name == "cosine" else [40]  # of one learning rate
        assert replayed == 3 * [number >= steps.WARM_UP for length in lengths for number in range(length)]
    _, other_rows, other_losses = trained(plan(name, "device.graph=false"))
    assert_same_training(losses, other_losses)
    assert [row.scores for row in rows] == [pytest.approx(row.scores, abs=0.02) for row in other_rows]


@on_gpu
@pytest.mark.parametrize("name", ["hnet", "hnet_r", "dgr", "blocks", "si"])
def test_captured_steps_go_on_after_an_interruption(name: str) -> None:
    _, rows, losses = trained(plan(name))
    _, other_rows, other_losses = trained(plan(name), interrupted_at=17)
    assert_same_training(losses, other_losses)
    assert rows[2].scores == pytest.approx(other_rows[-1].scores, abs=0.02)


@on_gpu
def test_captured_learners_in_turns_train_as_each_does_alone() -> None:
    plans = [plan("hnet"), plan("dgr"), plan("hnet", "seed=2")]
    together, running = [Losses() for _ in plans], []
    for made, log in zip(plans, together, strict=True):
        benchmark = build.build_benchmark(made, Path("unused"), torch.device("cuda"))
        model = build.build_learner(made, benchmark.in_shape, benchmark.class_counts, torch.device("cuda"))
        running.append(train(model, benchmark.tasks, made.training, [log]))
    for _ in zip(*running, strict=True):
        pass
    for made, log in zip(plans, together, strict=True):
        assert_same_training(log, trained(made)[2])


@pytest.mark.parametrize(
    ("method", "changes", "captured"),
    [
        ("hnet", {}, True),
        ("hnet", {"regularizer": FAST | {"sampled_tasks": 1}}, False),
        ("hnet_tir", {"task_inference": TIR}, False),
        ("hnet_r", {}, True),
        ("dgr", {}, True),
        ("ewc", {}, True),
        ("scratch", {}, True),
        ("hint", {}, True),
        ("hypermask", {}, False),
        ("hnet_posterior", {}, True),
        ("h_embedding", {}, True),
    ],
)
def test_what_is_captured(method: str, changes: Mapping[str, Any], captured: bool) -> None:
    scenario = "cl1" if method in {"hnet", "scratch"} | OF_HYPERNETWORKS else "cl3"
    made = learner(method, blobs(), scenario, **changes)
    for task in range(3):
        begin(made, task)
    assert made.capturable is captured


def test_choosing_examples_of_several_tasks_is_not_captured() -> None:
    made = learner("joint", blobs(), "cl3")
    made.context = replace(made.context, graph=True)
    data = made.training_data(blobs().tasks)
    assert type(steps.make_steps(made, data, torch.Generator())) is steps.Steps


@pytest.mark.parametrize("method", ["hnet_r", "dgr"])
def test_replay_is_prepared_in_the_same_place(method: str) -> None:
    """Where a captured step looks for it; each step has another one, which it draws itself if nobody has."""
    first, second = (learned(learner(method, blobs(), "cl3"), blobs(), 1) for _ in range(2))
    for made in (first, second):
        begin(made, 1)
    inputs, labels = blobs().tasks[1].train.batch(slice(8))
    places, seen = set(), []
    for _ in range(3):
        first.prepare(8)
        places.add(first._replayed.inputs.data_ptr())
        seen.append(first._replayed.inputs.clone())
        losses = first.step(inputs, labels)
        assert losses == second.step(inputs, labels)
    assert len(places) == 1 and not torch.equal(seen[0], seen[1])

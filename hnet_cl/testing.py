"""Checks for parts of your own: a method, a data set or a protocol, tried out in seconds as a run would use it.

Examples:
    >>> from hnet_cl.testing import check_benchmark, check_dataset, check_learner
    >>> check_learner("method=frozen", config_dir="my_conf")
    >>> check_dataset("stripes", config_dir="my_conf")
    >>> check_benchmark("inverted", "dataset=mnist_5k", config_dir="my_conf")

All of them return nothing, and raise an AssertionError or a UserError that says what is wrong.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hnet_cl import build
from hnet_cl.benchmarks.base import Benchmark, Split
from hnet_cl.config.check import Plan, check
from hnet_cl.config.composing import compose_job
from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.core.errors import UnsupportedError
from hnet_cl.methods.base import Learner
from hnet_cl.training.rehearsal import rehearsed
from hnet_cl.training.trainer import Start, train

STEPS = 6  # per task: enough for a state in the middle of one
SMALL = ("benchmark=toy", "benchmark.num_tasks=3", "target=mlp_10", f"training.iterations={STEPS}", "device.threads=1")
STOP = (1, STEPS // 2)  # the task, and iterations of it, after which learning is interrupted


class Trained(NamedTuple):
    """A learner after all tasks, its matrix of scores, and what a checkpoint in the middle of a task holds of it."""

    learner: Learner
    matrix: list[Sequence[float | None]]
    before: Mapping[str, Any]
    middle: Mapping[str, Any]


def check_learner(
    *overrides: str, config_dir: str | Path | None = None, scenarios: Sequence[str] | None = None, device: str = "cpu"
) -> None:
    """Checks that a method learns and answers, and that what it learned can be saved and continued bit for bit.

    Three tasks of the toy benchmark are learned for a few steps in each of the scenarios that the method supports:
    everything that runs are rehearsed with is tried; two runs with the same seed must be equal; a run that goes on
    from the state in the middle of a task must end as if it had never been interrupted; answers must leave the
    learner as it is.

    Args:
        overrides: KEY=VALUE as on the command line, "method=NAME" first; also another benchmark, or a target.
        config_dir: a folder of yaml groups of your own, as for `--config-dir`.
        scenarios: those to be tried, all if not given; at least one must be supported.
        device: cpu or cuda.

    Raises:
        AssertionError: two runs differ, or the method supports none of the scenarios.
        UserError: the configuration is wrong, or the method fails before or while it learns.
    """
    unsupported = []
    scenarios = list(choices(conf_dir(), "scenario")) if scenarios is None else scenarios
    for scenario in scenarios:
        words = [*SMALL, f"device={device}", f"scenario={scenario}", *overrides]
        try:
            config = _config(words, config_dir)
            plan = check(config)
        except UnsupportedError as reason:
            unsupported.append(str(reason))
        else:
            _check_in_scenario(plan, Path(config["data_dir"]), scenario)
    assert len(unsupported) < len(scenarios), f"no scenario is supported ({'; '.join(unsupported)})"


def check_dataset(name: str, *overrides: str, config_dir: str | Path | None = None) -> None:
    """Checks that a data set is read alike every time, and that tasks of its classes can be learned.

    Args:
        name: the file of the group `dataset`.
        overrides: KEY=VALUE as on the command line; "benchmark=split" with two classes a task if nothing else is said.
        config_dir: a folder of yaml groups of your own.

    Raises:
        AssertionError: it differs between two readings, or inputs are not what the benchmark says.
        UserError: the configuration is wrong, or the data cannot be had or used.
    """
    check_benchmark("split", f"dataset={name}", "benchmark.classes_per_task=2", *overrides, config_dir=config_dir)


def check_benchmark(name: str, *overrides: str, config_dir: str | Path | None = None) -> None:
    """Checks that a protocol, or a benchmark with data of its own, makes the same sound tasks every time.

    Args:
        name: the file of the group `benchmark`.
        overrides: KEY=VALUE as on the command line.
        config_dir: a folder of yaml groups of your own.

    Raises:
        AssertionError: two constructions differ, or inputs are not what the benchmark says.
        UserError: the configuration is wrong, or a task is not sound (see `training/inspection.py`).
    """
    config = _config([f"benchmark={name}", "device.threads=1", *overrides], config_dir)
    plan, data_dir = check(config), Path(config["data_dir"])
    first = build.build_benchmark(plan, data_dir, torch.device("cpu"))
    torch.rand(3)  # nothing may depend on torch's own random state
    second = build.build_benchmark(plan, data_dir, torch.device("cpu"))
    assert first.data == second.data, f"the data are {first.data} once and {second.data} then"
    for one, other in zip(first.tasks, second.tasks, strict=True):
        assert (one.id, one.name, one.num_classes) == (other.id, other.name, other.num_classes), f"{one.name} differs"
        for kind, split, again in (("train", one.train, other.train), ("test", one.test, other.test)):
            inputs, labels = _some(split)
            assert inputs.shape[1:] == tuple(first.in_shape), f"{one.name}: inputs {tuple(inputs.shape)}"
            same = torch.equal(inputs, _some(again)[0]) and torch.equal(labels, _some(again)[1])
            assert same, f"{one.name}: the {kind} examples differ between two constructions with the same settings"


def _some(split: Split) -> tuple[Tensor, Tensor]:
    """Returns the first examples of a split, without augmentation."""
    return split.batch(slice(0, 50))


def _config(words: Sequence[str], config_dir: str | Path | None) -> Mapping[str, Any]:
    return compose_job(words, None if config_dir is None else Path(config_dir).expanduser()).settings


def _check_in_scenario(plan: Plan, data_dir: Path, scenario: str) -> None:
    device = build.build_device(plan.device)
    benchmark = build.build_benchmark(plan, data_dir, device)
    straight, again = _trained(plan, benchmark, device), _trained(plan, benchmark, device)
    _require_same(straight, again, f"{scenario}: two runs with the same seed")
    resumed = _trained(plan, benchmark, device, straight)
    _require_same(straight, resumed, f"{scenario}: a run, and the same one continued in the middle of a task,")
    _check_answers(straight.learner, benchmark, scenario)


def _trained(plan: Plan, benchmark: Benchmark, device: torch.device, continued: Trained | None = None) -> Trained:
    """Learns all tasks, or what is left of them after the middle of one."""
    counts = [task.num_classes for task in benchmark.tasks]
    context = build.build_context(plan, tuple(benchmark.in_shape), counts, device)
    learner = rehearsed(partial(build.make_learner, plan), context, benchmark.tasks, plan.training.batch_size)
    before: dict[str, Any] = {}
    middle: dict[str, Any] = {}
    if continued:
        learner.load_state_dict(copy.deepcopy(continued.before))

    def pause(iteration: int, state: Any) -> None:
        if (learner.latest, iteration) == STOP:
            middle.update(copy.deepcopy(state()))

    task, iteration = STOP
    start = Start(task, iteration, copy.deepcopy(continued.middle)) if continued else None
    matrix = list(continued.matrix[:task]) if continued else []
    for row in train(learner, benchmark.tasks, plan.training, [], start, pause):
        if row is not None:
            matrix.append(row.scores)
            if len(matrix) == task:
                before.update(copy.deepcopy(learner.state_dict()))
    return Trained(learner, matrix, before, middle)


def _require_same(one: Trained, other: Trained, what: str) -> None:
    state, others = one.learner.state_dict(), other.learner.state_dict()
    different = [name for name in state if not _equal(state[name], others.get(name))]
    assert not different and state.keys() == others.keys(), (
        f"{what} end with different states ({', '.join(different) or 'other names'}): all that survives a step belongs "
        "into parameters, buffers, get_extra_state or training_state, and all randomness comes from streams of the seed"
    )
    assert one.matrix == other.matrix, f"{what} have different scores: {one.matrix} and {other.matrix}"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


@torch.no_grad()
def _check_answers(learner: Learner, benchmark: Benchmark, scenario: str) -> None:
    """Asks twice: the answers must be equal, and leave the learner as it is."""
    state = copy.deepcopy(learner.state_dict())
    for task in benchmark.tasks:
        inputs, _ = _some(task.test)
        given = task.id if learner.heads.task_known else None
        learner.train(False)
        first, second = (learner.predict(inputs, given).output for _ in range(2))
        assert torch.equal(first, second), f"{scenario}: predict answers differently to the same inputs"
    assert _equal(state, learner.state_dict()), f"{scenario}: predict changes the learner's state"

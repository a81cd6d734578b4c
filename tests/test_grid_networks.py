"""Every kind of network with every method and scenario: learned, tested, stopped and continued, bit for bit."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import (
    BOUNDED,
    GATED,
    LAYERWISE,
    METHODS,
    NEED_THE_TASK,
    WITHOUT_TARGET,
    blobs,
    learned,
    learner,
    rows_of,
    same_state,
    training,
)
from networks import BOUNDED_LAYERS, CHAINS, EXAMPLES_ONE_BY_ONE, NETWORKS, PLAIN_LAYERS, TASKS_ONE_BY_ONE
from torch import Tensor

from hnet_cl.hypernet import trainable
from hnet_cl.methods.base import Learner
from hnet_cl.training.checkpointing import Checkpoints
from hnet_cl.training.rehearsal import inspect

BENCHMARK = blobs(num_tasks=2, train_per_class=6, test_per_class=4)
EXAMPLES = BENCHMARK.tasks[0].train.images[:2]
STEPS = 3
SETTINGS = training(iterations=STEPS, batch_size=6, log_every=1)
CHOICES: Mapping[str, dict[str, Any]] = {
    method: {"method": method} for method in METHODS if method not in WITHOUT_TARGET
} | {"ewc_offline": {"method": "ewc", "online": False}}
SCENARIOS = ("cl1", "cl2", "cl2 separate", "cl3")
FROZEN = {"frozen part": 5, "frozen recurrent part": 4, "lists, einsum": 1}  # tensors
INFER = {"hnet_ent", "hnet_tir", "scratch", "supsup"}


def defined(method: str, scenario: str) -> bool:
    if scenario == "cl2 separate":
        return method in INFER
    if method == "icarl":
        return scenario == "cl3"
    return scenario == "cl1" or method not in NEED_THE_TASK


def pairwise() -> Iterator[tuple[str, str, str]]:
    """Yields each network with each method, in scenarios that take turns; all scenarios take three times as long."""
    for row, network in enumerate(NETWORKS):
        for column, method in enumerate(CHOICES):
            known = CHAINS if method in GATED else BOUNDED_LAYERS if method in BOUNDED else PLAIN_LAYERS
            if method in LAYERWISE and network not in known:
                continue
            scenarios = [scenario for scenario in SCENARIOS if defined(method, scenario)]
            yield network, method, scenarios[(row + column) % len(scenarios)]


QUICK = [("frozen part", "hnet", "cl1"), ("frozen part", "scratch", "cl1"), ("masked write", "hnet", "cl1")]
QUICK += [(network, "hnet_ent", "cl3") for network in [*NETWORKS][::2]]
QUICK += [("rnn", "ewc", "cl1")]
QUICK += [("frozen recurrent part", method, "cl1") for method in ("hnet_r", "derpp", "mas", "owm")]


class Stop(BaseException):
    """The run dies here."""


def make(network: str, method: str, scenario: str) -> Learner:
    made: Learner = learner(benchmark=BENCHMARK, scenario=scenario, target=NETWORKS[network], **CHOICES[method])
    return made


def answers(made: Learner) -> list[list[int]]:
    told = made.heads.task_known
    with torch.random.fork_rng():  # one network draws at random even here
        torch.manual_seed(1)
        return [made.predict(task.test.images, task.id if told else None).output.tolist() for task in BENCHMARK.tasks]


def frozen(made: Any) -> list[Tensor]:
    """What is not trained in the networks that answer."""
    if hasattr(made, "target"):
        return [buffer.clone() for buffer in made.target.buffers()]
    networks = getattr(made, "networks", None) or [made.network]
    unmoved = [p for one in networks for name, p in one.named_parameters() if name not in trainable(one)]
    return [parameter.detach().clone() for parameter in unmoved]


def statistics(made: Learner) -> dict[tuple[int, str], Tensor]:
    """Buffers that each task has for its own."""
    of_tasks = made.get_extra_state().get("task_buffers", {})
    return {(task, name): value for task, own in of_tasks.items() for name, value in own.items()}


def check(network: str, method: str, scenario: str, folder: Path) -> None:
    whole = make(network, method, scenario)
    untouched, start, draws = make(network, method, scenario), frozen(whole), torch.get_rng_state()
    inspect(whole, EXAMPLES)
    assert same_state(whole.state_dict(), untouched.state_dict()) and torch.equal(draws, torch.get_rng_state())
    rows = list(rows_of(whole, BENCHMARK.tasks, SETTINGS, []))
    assert all(accuracy is not None and 0 <= accuracy <= 1 for accuracy in rows[1].scores)
    assert (rows[1].inferred is not None) == (method in INFER and scenario != "cl1")
    assert len(start) == FROZEN.get(network, 0) * (len(BENCHMARK.tasks) if method == "scratch" else 1)
    assert all(map(torch.equal, start, frozen(whole)))
    store, dying = Checkpoints(folder, "abc"), make(network, method, scenario)

    def pause(iteration: int, state: Any) -> None:
        if (dying.latest, iteration) == (1, 2):
            store.in_task(1, iteration, state(), {})
            raise Stop

    inspect(dying, EXAMPLES)
    with pytest.raises(Stop):
        for number, _ in enumerate(rows_of(dying, BENCHMARK.tasks, SETTINGS, [], pause=pause), 1):
            store.after_task(number, dying, {})
    torch.rand(7)
    resumed = make(network, method, scenario)
    inspect(resumed, EXAMPLES)
    start_again = Checkpoints(folder, "abc").restore(resumed).start
    assert list(rows_of(resumed, BENCHMARK.tasks, SETTINGS, [], start_again)) == rows[1:]
    assert same_state(whole.state_dict(), resumed.state_dict())
    assert statistics(whole).keys() == statistics(resumed).keys()
    assert all(torch.equal(value, statistics(resumed)[key]) for key, value in statistics(whole).items())
    Checkpoints(folder, "abc").after_task(2, resumed, {})
    asked = make(network, method, scenario)  # as by predict, which inspects nothing
    Checkpoints(folder, "abc").restore(asked)
    assert answers(asked) == answers(whole)


@pytest.mark.parametrize(("network", "method", "scenario"), QUICK)
def test_some(network: str, method: str, scenario: str, tmp_path: Path) -> None:
    check(network, method, scenario, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "method", "scenario"), [cell for cell in pairwise() if cell not in QUICK])
def test_every_pair(network: str, method: str, scenario: str, tmp_path: Path) -> None:
    check(network, method, scenario, tmp_path)


@pytest.mark.parametrize("method", ["hnet_ent", "ewc"])
def test_a_network_that_vmap_does_not_know_is_named_once(method: str, caplog: pytest.LogCaptureFixture) -> None:
    scenario, task = ("cl3", "tasks' networks") if method == "hnet_ent" else ("cl1", "Fisher information")
    named = set()
    for network in NETWORKS:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            made = make(network, method, scenario)
            inspect(made, EXAMPLES)
            learned(made, BENCHMARK, tasks=1, steps=1).predict(BENCHMARK.tasks[0].test.images)
        if caplog.records:
            (record,) = caplog.records
            assert task in record.getMessage() and "\n" not in record.getMessage()
            named.add(network)
    assert named == (TASKS_ONE_BY_ONE if method == "hnet_ent" else EXAMPLES_ONE_BY_ONE)


@pytest.mark.parametrize("method", [method for method in CHOICES if method not in BOUNDED])
def test_frozen_values_are_those_of_the_checkpoint(method: str, tmp_path: Path) -> None:
    first, second = (
        learner(benchmark=BENCHMARK, target=NETWORKS["frozen part"], seed=seed, **CHOICES[method]) for seed in (1, 2)
    )
    assert not all(map(torch.equal, frozen(first), frozen(second)))
    Checkpoints(tmp_path, "abc").after_task(1, learned(first, BENCHMARK, tasks=1, steps=1), {})
    Checkpoints(tmp_path, "abc").restore(second)
    assert all(map(torch.equal, frozen(first), frozen(second)))


def test_frozen_parts_are_neither_trained_nor_generated_nor_important() -> None:
    names = ["first.weight", "head.weight", "head.bias"]
    for method, choices in ((name, one) for name, one in CHOICES.items() if name not in BOUNDED):
        made: Any = learner(benchmark=BENCHMARK, target=NETWORKS["frozen part"], **choices)
        outputs = 2 if method == "scratch" else 4
        assert made.target_size == 8 + 5 * outputs
        if hasattr(made, "target"):
            assert list(made.target.layout.shapes) == names
            assert not [name for name, _ in made.named_parameters() if name.startswith("target")]
            assert len(list(made.target.buffers())) == 5
        for penalty in [*getattr(made, "penalties", []), *([made.penalty] if method == "si" else [])]:
            assert [importance.shape for importance in penalty.importance] == [(4, 2), (outputs, 4), (outputs,)]
        if method == "scratch":
            first, second = made.networks
            for (name, one), other in zip(first.named_parameters(), second.parameters(), strict=True):
                assert torch.equal(one, other) == (name not in trainable(first)), name

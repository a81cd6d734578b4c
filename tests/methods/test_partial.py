"""Methods of which a part of the network is trained or generated, and residuals on the initial weights."""

from typing import Any

import pytest
import torch
from builders import (
    GENERATED,
    HNET,
    METHODS,
    WITHOUT_TARGET,
    blobs,
    learned,
    learner,
    maker,
    rows_of,
    small_target,
    training,
)
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import ExplicitRegularizer, GramRegularizer
from hnet_cl.methods.parts.inferring import TargetLearner
from hnet_cl.targets.selection import freeze_others
from hnet_cl.training.rehearsal import rehearsed

BENCHMARK = blobs()
HEAD = {"layers.1.weight", "layers.1.bias"}
BODY = {"layers.0.weight", "layers.0.bias"}
ONLY = {"icarl": "cl3", "gdumb": "cl3", "hnet_r": "cl3", "hnet_ent": "cl3", "hnet_tir": "cl3"}


def head_alone(num_outputs: int) -> nn.Module:
    """An MLP 2-5-`num_outputs` whose first layer is not trained."""
    network = small_target(num_outputs)
    freeze_others(network, HEAD)
    return network


def networks(made: Any) -> list[nn.Module]:
    """All networks of a learner that predict; where samples of weights do, those of the means."""
    if isinstance(made, TargetLearner):
        return [TargetLearner.task_network(made, task)[0] for task in range(made.latest + 1)]
    return [*getattr(made, "networks", [])] or [made.network]


def values(network: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("method", [name for name in METHODS if name not in {*WITHOUT_TARGET, "supsup"}])
def test_every_method_trains_that_part_alone_from_the_same_start(method: str) -> None:
    made = learner(method, BENCHMARK, ONLY.get(method, "cl1"), target=head_alone)
    start = values(made.context.new_target(made.heads.num_outputs))
    list(rows_of(made, BENCHMARK.tasks, training(iterations=3), []))
    for network in networks(made):
        found = values(network)
        assert {name for name in found if not found[name].equal(start[name])} == HEAD
        assert all(torch.equal(found[name], start[name]) for name in BODY)


@pytest.mark.parametrize("base", ["zero", "initial"])
def test_the_regulariser_is_the_sum_over_what_is_generated(base: str) -> None:
    made = learned(learner("hnet", BENCHMARK, target=head_alone, base=base), BENCHMARK, 3)
    hypernetwork, layout = made.hypernetwork, made.target.layout
    assert layout.shapes.keys() == HEAD and made.generated_size == made.target_size == 6 * 5 + 6
    before = [values(made.task_network(task)[0]) for task in range(2)]
    regularizers = [kind(hypernetwork, range(2)) for kind in (GramRegularizer, ExplicitRegularizer)]
    with torch.no_grad():
        for parameter in hypernetwork.theta.values():
            parameter += 0.1 * torch.randn_like(parameter)
    after = [values(made.task_network(task)[0]) for task in range(2)]
    pairs = [(old[name], new[name]) for old, new in zip(before, after, strict=True) for name in new]
    drift = sum(((new - old).square().sum() for old, new in pairs), torch.zeros(()))
    assert drift > 0.01
    for regularizer in regularizers:
        torch.testing.assert_close(regularizer(hypernetwork.theta), drift / 2, rtol=1e-4, atol=1e-6)


def test_with_a_base_every_task_starts_at_the_initial_weights_and_leaves_them() -> None:
    made = learner("hnet", BENCHMARK, base="initial")
    start = values(made.context.new_target(made.heads.num_outputs))
    for task in range(3):
        made.begin_task(BENCHMARK.tasks[: task + 1])
        if task == 0:
            assert all(torch.equal(value, start[name]) for name, value in values(made.task_network(0)[0]).items())
        first, last = (made.step(*BENCHMARK.tasks[task].train.batch(slice(None)))["loss"] for _ in range(2))
        assert last < first
    inputs, _ = BENCHMARK.tasks[0].test.batch(slice(None))
    own = made.heads.own(0)
    assert torch.equal(made.task_network(0)[0](inputs)[:, own], made.predict(inputs, 0).logits)


@pytest.mark.parametrize("init", ["fan_in", "hyperfan"])
@pytest.mark.parametrize("base", ["zero", "initial"])
def test_a_start_by_tensor_is_part_of_the_state(init: str, base: str) -> None:
    changes: dict[str, Any] = {"base": base, "hypernet": HNET["hypernet"] | {"init": init, "chunk_size": 7}}
    first, second = (learner("hnet", BENCHMARK, "cl1", seed, **changes) for seed in (1, 2))
    assert first.hypernetwork.num_chunks == 2 + 1 + 5 + 1  # of tensors of 10, 5, 30 and 6 numbers
    if base == "initial":
        assert not first.hypernetwork(0).any()
    second.load_state_dict(learned(first, BENCHMARK, 2).state_dict())
    inputs, _ = BENCHMARK.tasks[0].test.batch(slice(None))
    learned(second, BENCHMARK, 2, 0)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.predict(inputs, 0).logits, first.predict(inputs, 0).logits)


def test_a_decoder_starts_by_tensor_too() -> None:
    generator = GENERATED | {"hypernet": HNET["hypernet"] | {"init": "fan_in"}}
    made = learner("hnet_r", BENCHMARK, "cl3", generator=generator)
    hypernetwork = made.generator.hypernetwork
    assert hypernetwork.num_chunks > -(-hypernetwork.layout.total // 20) and hypernetwork.scales is not None
    learned(made, BENCHMARK, 2)


def test_what_is_frozen_is_kept_once() -> None:
    frozen = 4 * (5 * 2 + 5)
    for base, more in (("zero", 0), ("initial", 4 * (6 * 5 + 6))):
        kept = learned(learner("hnet", BENCHMARK, target=head_alone, base=base), BENCHMARK, 3, 1).kept_bytes()
        assert kept["target"] == frozen + more


@pytest.mark.parametrize("method", ["hnet", "scratch"])
def test_the_state_holds_what_is_frozen(method: str) -> None:
    more = {"base": "initial"} if method == "hnet" else {}
    first, second = (learner(method, BENCHMARK, "cl1", seed, head_alone, **more) for seed in (1, 2))
    learned(first, BENCHMARK, 3)
    inputs, _ = BENCHMARK.tasks[0].test.batch(slice(None))
    before = first.predict(inputs, 1).logits
    assert not torch.equal(learned(second, BENCHMARK, 2).predict(inputs, 1).logits, before)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.predict(inputs, 1).logits, before)


def test_masked_heads_are_checked_with_a_base_too() -> None:
    def shares(num_outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 5), nn.utils.parametrizations.spectral_norm(nn.Linear(5, num_outputs)))

    given: dict[str, Any] = {"mask_heads": True, "base": "initial"}
    rehearsed(*maker("hnet", BENCHMARK, target=small_target, **given), BENCHMARK.tasks, 8)
    with pytest.raises(UserError, match=r"^method\.mask_heads=true: in target"):
        rehearsed(*maker("hnet", BENCHMARK, target=shares, **given), BENCHMARK.tasks, 8)

"""Task inference: by entropy, and by rules of other kinds that find all they need."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from builders import blobs, learned, learner, small_target
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts import task_networks
from hnet_cl.methods.parts.inference import Inferred, TaskInference, entropy, least
from hnet_cl.methods.parts.task_networks import Candidates, TaskNetworks
from hnet_cl.targets.bfloat16 import BFloat16
from hnet_cl.targets.mlp import MLP

LOGITS = st.lists(st.floats(-20, 20), min_size=1, max_size=6)


@given(LOGITS, st.floats(0.2, 5))
def test_entropy_by_its_definition(logits: list[float], temperature: float) -> None:
    weights = [math.exp(value / temperature) for value in logits]
    p = [weight / sum(weights) for weight in weights]
    expected = -sum(q * math.log(q) for q in p if q > 0)
    assert entropy(torch.tensor(logits, dtype=torch.double), temperature).item() == pytest.approx(expected, abs=1e-9)


def test_saturated_and_absent_classes() -> None:
    found = entropy(torch.tensor([[1e4, 0.0, -1e4], [0.0, 0.0, -torch.inf], [3.0, -torch.inf, -torch.inf]]))
    torch.testing.assert_close(found, torch.tensor([0.0, math.log(2), 0.0]))


def test_first_of_equals_wins_and_nan_is_not_hidden() -> None:
    flat, sharp, broken = [0.0, 0.0], [1e4, 0.0], [math.nan, 0.0]
    logits = torch.tensor([[flat, flat, broken], [sharp, flat, flat], [sharp, flat, sharp]])  # (task, example, class)
    tasks, values = least(entropy(logits))
    assert tasks.tolist()[:2] == [1, 0]
    torch.testing.assert_close(values, torch.tensor([0.0, math.log(2), math.nan]), equal_nan=True)


def trained(scenario: str, number: int = 3, **changes: object):  # type: ignore[no-untyped-def]
    benchmark = blobs(num_tasks=number)
    method = learner("hnet_ent", benchmark, scenario, **changes)
    for last in range(number):
        method.begin_task(benchmark.tasks[: last + 1])
        for _ in range(20):
            method.step(*benchmark.tasks[last].train.batch(slice(None)))
        method.end_task()
    return benchmark, method


def convolutional(num_outputs: int) -> nn.Module:
    """Two numbers as an image of two pixels."""
    return nn.Sequential(nn.Unflatten(1, (1, 1, 2)), nn.Conv2d(1, 5, 1), nn.Tanh(), MLP((5, 1, 2), num_outputs, [5]))


def normalised_in_bfloat16(num_outputs: int) -> nn.Module:
    """Batch normalisation of vectors."""
    return BFloat16(nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, num_outputs)))


@pytest.mark.parametrize("scenario", ["cl2", "cl2 separate", "cl3"])
@pytest.mark.parametrize("group", [1, 10**9])
@pytest.mark.parametrize("target", [small_target, convolutional])
def test_predict_is_the_surest_network_of_a_plain_loop(
    target: Callable[[int], nn.Module], scenario: str, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_networks, "GROUP_NUMBERS", group)
    benchmark, method = trained(scenario, target=target)
    inputs, _ = benchmark.tasks[1].test.batch(slice(None))
    answer = method.predict(inputs)
    with torch.no_grad():
        of_tasks = [method.target(method.hypernetwork(t), inputs)[:, method.heads.own(t)] for t in range(3)]
    assert len(set(answer.task.tolist())) > 1
    for i, (output, task, value) in enumerate(zip(*answer[:3], strict=True)):
        p = [logits[i].softmax(0) for logits in of_tasks]
        direct = torch.stack([-(q * q.log()).sum() for q in p])
        assert direct.argmin() == task
        torch.testing.assert_close(value, direct.min(), rtol=1e-4, atol=1e-6)
        assert output == of_tasks[task][i].argmax() + method.heads.own(task).start


@pytest.mark.parametrize("scenario", ["cl2", "cl3"])
def test_each_task_has_its_own_statistics_in_bfloat16(scenario: str) -> None:
    benchmark, method = trained(scenario, target=normalised_in_bfloat16)
    inputs, _ = benchmark.tasks[1].test.batch(slice(None))
    answer = method.predict(inputs)
    with torch.no_grad():
        of_tasks = [method.networks.logits(inputs, t)[:, method.heads.own(t)] for t in range(3)]
    tasks, _ = least(entropy(torch.stack(of_tasks)))
    assert torch.equal(answer.task, tasks) and len(tasks.unique()) > 1


def test_only_tasks_learned_so_far_compete_and_one_is_enough() -> None:
    benchmark = blobs()
    method = learner("hnet_ent", benchmark, "cl3")
    method.begin_task(benchmark.tasks[:1])
    answer = method.predict(benchmark.tasks[2].test.batch(slice(None))[0])
    assert answer.task.eq(0).all() and answer.output.lt(2).all()


def test_a_told_task_is_not_inferred() -> None:
    benchmark, ent = trained("cl1")
    _, given_task = trained("cl1")
    inputs, _ = benchmark.tasks[2].test.batch(slice(None))
    answer = ent.predict(inputs, 2)
    assert answer.task is None and answer.task_score is None
    assert torch.equal(answer.output, given_task.predict(inputs, 2).output)


class Prototypes(TaskInference):
    """The task whose mean features of training data are nearest; features are those of a layer of its own network."""

    class Settings(base.Settings):
        layer: str

    def __init__(self, settings: Any, setup: Context, networks: TaskNetworks) -> None:
        super().__init__(settings, setup, networks)
        width = networks.target.layout.shapes[f"{settings.layer}.bias"][0]
        self.register_buffer("means", torch.zeros(setup.heads.num_tasks, width))

    def features(self, inputs: Tensor, task: int) -> Tensor:
        """What the layer gives for inputs (b, *in_shape) in the network of a task."""
        seen: list[Tensor] = []
        layer = self.networks.target.module.get_submodule(self.settings.layer)
        with layer.register_forward_hook(lambda _, __, output: seen.append(output.clone())):
            self.networks.logits(inputs, task)
        return seen[0]

    @torch.no_grad()
    def end_task(self) -> None:
        self.means[self.task.id] = self.features(self.task.train.images, self.task.id).mean(0)

    def begin_task(self, tasks: Sequence[Task]) -> None:
        self.task = tasks[-1]

    def infer(self, candidates: Candidates) -> Inferred:
        assert not torch.is_grad_enabled() and not self.training
        gaps = [self.features(candidates.inputs, task) - self.means[task] for task in candidates.tasks]
        distance, task = torch.stack(gaps).norm(dim=2).min(0)
        return Inferred(task, distance)

    def inspect(self, inputs: Tensor) -> list[str]:
        return []


class Steepest(TaskInference):
    """One task for the whole batch: that whose share of a mixed embedding would lower the entropy fastest.

    As one step of Wortsman et al., Supermasks in superposition, NeurIPS 2020, with embeddings in place of masks.
    """

    def infer(self, candidates: Candidates) -> Inferred:
        networks, number = self.networks, len(candidates.tasks)
        embeddings = networks.hypernetwork.embeddings(candidates.tasks)
        with torch.enable_grad():
            shares = torch.full((1, number), 1 / number, requires_grad=True)
            weights = networks.hypernetwork.generate(networks.hypernetwork.features(shares @ embeddings))[0]
            logits = networks.target(weights, candidates.inputs, networks.buffers[0])
            (slope,) = torch.autograd.grad(entropy(logits[:, : networks.heads.own(number - 1).stop]).sum(), shares)
        size = len(candidates.inputs)
        return Inferred(slope.argmin().expand(size), slope.min().expand(size))


def with_rule(rule: type[TaskInference], **settings: object) -> Any:
    chosen = {"_target_": f"{__name__}.{rule.__name__}", **settings}
    benchmark, method = trained("cl3", task_inference=chosen)
    return benchmark, method


def test_a_rule_can_look_at_features_and_keep_what_it_learned() -> None:
    benchmark, method = with_rule(Prototypes, layer="layers.0")
    inputs, _ = benchmark.tasks[1].test.batch(slice(None))
    answer = method.predict(inputs)
    assert len(answer.task.unique()) > 1
    gaps, means = [], method.task_inference.means
    for task in range(3):
        first = method.target.layout.split(method.hypernetwork(task))
        w, b = first["layers.0.weight"], first["layers.0.bias"]
        gaps.append(inputs @ w.T + b - means[task])
    torch.testing.assert_close(means[2], benchmark.tasks[2].train.images.mean(0) @ w.T + b)
    torch.testing.assert_close(answer.task_score, torch.stack(gaps).norm(dim=2).min(0).values)
    for i, task in enumerate(answer.task.tolist()):
        assert answer.output[i] == method.predict(inputs[i : i + 1], task).output
    other = learner("hnet_ent", benchmark, "cl3", task_inference=method.settings.task_inference)
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.task_inference.means, method.task_inference.means)


def test_a_rule_can_use_gradients_and_the_whole_batch() -> None:
    benchmark, method = with_rule(Steepest)
    inputs, _ = benchmark.tasks[1].test.batch(slice(None))
    answer = method.predict(inputs)
    (task,) = answer.task.unique().tolist()
    embeddings, step = torch.stack([*method.hypernetwork.task_embeddings]), 1e-3
    found = []
    for share in torch.eye(3):
        ends = [embeddings.mean(0) + sign * step * share @ embeddings for sign in (1, -1)]
        weights = method.hypernetwork.generate(method.hypernetwork.features(torch.stack(ends))).double()
        high, low = (entropy(method.target(w, inputs.double())).sum() for w in weights)
        found.append((high - low).item() / (2 * step))
    assert min(found) == found[task]
    assert answer.task_score[0].item() == pytest.approx(found[task], rel=0.02)


class Wrong(TaskInference):
    """What it infers is said by its settings."""

    class Settings(base.Settings):
        fault: str

    def infer(self, candidates: Candidates) -> Any:
        task = torch.zeros(len(candidates.inputs), dtype=torch.long)
        return {
            "a tuple": (task, task.float()),
            "a shape": Inferred(task[:, None], task.float()),
            "floats": Inferred(task.float(), task.float()),
            "no task": Inferred(task - 1, task.float()),
            "a task to come": Inferred(task + 1, task.float()),
            "whole scores": Inferred(task, task),
        }[self.settings.fault]


@pytest.mark.parametrize("fault", ["a tuple", "a shape", "floats", "no task", "a task to come", "whole scores"])
def test_what_a_rule_infers_is_looked_at(fault: str) -> None:
    benchmark = blobs()
    method = learner("hnet", benchmark, "cl3", task_inference={"_target_": f"{__name__}.Wrong", "fault": fault})
    method.begin_task(benchmark.tasks[:1])
    line = r"^method\.task_inference\._target_=.*\.Wrong: infer must return .* int64 \(4,\) in 0\.\.0 and "
    with pytest.raises(UserError, match=line):
        method.predict(torch.zeros(4, 2))


def test_a_rule_that_does_nothing_in_a_step_can_be_captured_and_no_other_unless_it_says_so() -> None:
    class Learns(Wrong):
        def step(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
            return {}

    benchmark = blobs()
    method = learner("hnet", benchmark, "cl3", task_inference={"_target_": f"{__name__}.Wrong", "fault": ""})
    method.begin_task(benchmark.tasks[:1])
    assert method.capturable
    method.task_inference = Learns(Learns.Settings(fault=""), method.context, method.networks)
    assert not method.capturable


def test_the_task_classifiers_score_is_its_probability_and_nan_where_it_knows_nothing() -> None:
    benchmark = blobs()
    method = learned(learner("hnet_tir", benchmark, "cl3"), benchmark, 3)
    inputs = benchmark.tasks[0].test.images.clone()
    answer = method.predict(inputs)
    p = method.task_inference.classifier.network(inputs).softmax(1)  # type: ignore[operator,union-attr]
    torch.testing.assert_close(answer.task_score, p.max(1).values)
    inputs[3] = torch.nan
    broken = method.predict(inputs)
    assert broken.invalid(method.heads).nonzero().tolist() == [[3]]


def test_a_task_that_nobody_tells_or_infers_has_no_answer() -> None:
    method = learner("hnet", blobs())
    method.begin_task(blobs().tasks[:1])
    with pytest.raises(UserError, match=r"^method/task_inference=given: the task is not given"):
        method.predict(torch.zeros(1, 2))

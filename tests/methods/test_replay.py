"""Generative replay: what is learned from samples, what is stored, and what survives."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from builders import CLASSIFIER, GENERATED, PLAIN, REPLAY, blobs, learned, learner, same_state
from torch import Tensor, nn

from hnet_cl.methods.base import Learner, Samples
from hnet_cl.training.sample_quality import sample_quality

BENCHMARK = blobs()
RATE = 1e-3
SCENARIOS = ("cl1", "cl2", "cl3")
NEW = BENCHMARK.tasks[2].train.batch(slice(0, 8))


def slowly(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Plain gradient descent, for arithmetic by hand."""
    return torch.optim.SGD(parameters, lr=RATE)


def in_third_task(method: str, scenario: str, **changes: Any) -> Any:
    """A learner that begins the last of three tasks."""
    made = learned(learner(method, BENCHMARK, scenario, **changes), BENCHMARK, 2)
    made.begin_task(BENCHMARK.tasks)
    return made


def written_out(
    student: Tensor, teacher: Tensor, scenario: str, task: int | None, targets: str, new_heads: str
) -> Tensor:
    """Loss on one sample (logits (6,), two per task, or (2,) in CL2) in the third task, by the papers' rules."""
    if scenario == "cl1" and task is None:  # of any task: the mean over the old heads
        both = [written_out(student, teacher, scenario, old, targets, new_heads) for old in range(2)]
        return torch.stack(both).mean()
    if scenario == "cl1":
        assert task is not None
        student, teacher = (logits[2 * task : 2 * task + 2] for logits in (student, teacher))
    elif scenario == "cl3":
        teacher = teacher[:4]  # the heads that it had learned
    if targets == "hard":
        if scenario == "cl3" and task is not None:
            return F.cross_entropy(student, teacher[2 * task : 2 * task + 2].argmax() + 2 * task)
        return F.cross_entropy(student, teacher.argmax())
    if scenario == "cl3":
        teacher = F.pad(teacher, (0, 2), value=0.0 if new_heads == "zero_logit" else -torch.inf)
    return -((teacher / 2).softmax(0) * (student / 2).log_softmax(0)).sum() * 4


@pytest.mark.parametrize("generator", [GENERATED, PLAIN], ids=["tasks known", "tasks unknown"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(("targets", "new_heads"), [("soft", "zero_logit"), ("soft", "zero_probability"), ("hard", "")])
def test_loss_on_replayed_inputs(generator: dict[str, Any], scenario: str, targets: str, new_heads: str) -> None:
    choices: dict[str, Any] = {"targets": targets, "new_heads": new_heads or "zero_logit", "generator": generator}
    made = in_third_task("hnet_r", scenario, **choices)
    teacher = copy.deepcopy(made.network)
    made.step(*NEW)
    inputs, tasks = made.generator.replay(8)
    assert (tasks is None) == (generator is PLAIN)
    found = made.replay_loss(inputs, tasks)
    own = [None] * len(inputs) if tasks is None else tasks.tolist()
    rows = zip(made.network(inputs), teacher(inputs), own, strict=True)
    expected = [written_out(new, old, scenario, task, targets, new_heads) for new, old, task in rows]
    torch.testing.assert_close(found, torch.stack(expected).mean())


@pytest.mark.parametrize(("new_weight", "share"), [(0.5, 0.5), (0.2, 0.2), (None, 1 / 3)])
def test_a_step_weighs_new_data_and_replay(new_weight: float | None, share: float) -> None:
    made = in_third_task("hnet_r", "cl3", new_weight=new_weight, optimizer=slowly)
    replayed = copy.deepcopy(made.generator).replay(8)
    network = copy.deepcopy(made.network)
    new = F.cross_entropy(network(NEW[0]), NEW[1] + 4)
    with torch.no_grad():
        kept = made.replay_loss(*replayed)
    made.network, actual = network, made.network
    (share * new + (1 - share) * made.replay_loss(*replayed)).backward()
    made.network = actual
    losses = made.step(*NEW)
    torch.testing.assert_close(losses["loss"], new.detach())
    torch.testing.assert_close(losses["replay"], kept)
    for ours, by_hand in zip(actual.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours.data, by_hand.data - RATE * by_hand.grad)


def test_the_first_task_is_learned_without_replay() -> None:
    plain, replaying = learner("finetune", BENCHMARK, "cl3"), learner("hnet_r", BENCHMARK, "cl3")
    for made in (plain, replaying):
        learned(made, BENCHMARK, 1)
    assert same_state(plain.network.state_dict(), replaying.network.state_dict())


def numbers(node: Any) -> int:
    """How many numbers something holds, through all its modules, snapshots, mappings and lists."""
    seen: dict[int, Any] = {}  # and keeps them, so that no id is used twice

    def count(part: Any) -> int:
        if id(part) in seen or isinstance(part, (str, type(BENCHMARK.tasks[0]))):
            return 0
        seen[id(part)] = part
        if isinstance(part, Tensor):
            return part.numel() + count(part.grad)
        if isinstance(part, torch.optim.Optimizer):
            return count(dict(part.state)) + count(part.param_groups)
        if isinstance(part, Mapping):
            return sum(count(value) for value in part.values())
        if isinstance(part, (list, tuple, set)):
            return sum(map(count, part))
        return count(vars(part)) if hasattr(part, "__dict__") else 0

    return count({name: value for name, value in vars(node).items() if name not in ("tasks", "setup", "heads")})


@pytest.mark.parametrize("method", ["hnet_r", "dgr"])
def test_memory_does_not_grow_with_the_tasks_that_are_replayed(method: str) -> None:
    benchmark = blobs(num_tasks=6)
    generator = GENERATED | {"condition": 6} if method == "hnet_r" else PLAIN
    found = []
    for tasks in (2, 5):
        made = learned(learner(method, benchmark, "cl2", generator=generator), benchmark, tasks)
        made.begin_task(benchmark.tasks[: tasks + 1])
        for _ in range(2):
            made.step(*benchmark.tasks[tasks].train.batch(slice(0, 10)))  # 10 samples, of two tasks or of five
        found.append(numbers(made))
    per_task = (found[1] - found[0]) / 3
    bits = 3 * 2 + 1  # which outputs are the task's, for the network, its former self, and its own head; the first
    if method == "dgr":
        assert per_task == bits
    else:
        # The embedding's gradient and copy, and what the regulariser keeps: for each of the 4 chunks, features (6 and
        # a 1) and whether it counts whole; the task's number; and for the last chunk, which counts in part, 5 indices.
        assert per_task == bits + 2 * 3 + 4 * (7 + 1) + 1 + 5


@pytest.mark.parametrize("method", ["hnet_r", "dgr", "hnet_tir"])
def test_a_run_continued_in_the_middle_of_a_task_goes_on_the_same(method: str) -> None:
    def steps(made: Learner, first: int, last: int) -> None:
        for i in range(first, last):
            made.step(*BENCHMARK.tasks[2].train.batch(slice(i, i + 8)))

    whole = learned(learner(method, BENCHMARK, "cl3"), BENCHMARK, 2)
    at_start = copy.deepcopy(whole.state_dict())
    whole.begin_task(BENCHMARK.tasks)
    steps(whole, 0, 30)
    in_between = copy.deepcopy(whole.state_dict())
    moving = {
        name: part.get_state() if isinstance(part, torch.Generator) else copy.deepcopy(part.state_dict())
        for name, part in whole.training_state().items()
    }
    steps(whole, 30, 40)
    other = learner(method, BENCHMARK, "cl3", seed=1)
    other.load_state_dict(at_start)
    other.begin_task(BENCHMARK.tasks)
    other.load_state_dict(in_between)
    for name, part in other.training_state().items():
        if isinstance(part, torch.Generator):
            part.set_state(moving[name])
        else:
            part.load_state_dict(moving[name])
    steps(other, 30, 40)
    assert same_state(whole.state_dict(), other.state_dict())


@pytest.mark.slow
def test_replaying_keeps_what_fine_tuning_loses() -> None:
    benchmark = blobs(num_tasks=2, train_per_class=100)
    changes = {"generator": GENERATED | {"encoder": [20], "decoder": [20], "pixel_noise": 0.1}}
    found = {}
    for method, own in (("finetune", {}), ("hnet_r", changes)):
        made = learned(learner(method, benchmark, "cl3", **own), benchmark, 2, steps=400)
        inputs, labels = benchmark.tasks[0].test.batch(slice(None))
        found[method] = made.heads.correct(made.predict(inputs).output, labels, 0).float().mean().item()
    assert found["hnet_r"] > 0.8 > 0.4 > found["finetune"]


class TestTaskClassifier:
    """HNET+TIR."""

    def test_its_answer_is_the_task(self) -> None:
        made = learned(learner("hnet_tir", BENCHMARK, "cl3"), BENCHMARK, 3, steps=30)
        inputs = torch.cat([task.test.images for task in BENCHMARK.tasks])
        answer = made.predict(inputs)
        logits = made.task_inference.classifier.network(inputs)  # type: ignore[union-attr,operator]
        assert logits.shape == (len(inputs), 3) and len(logits.argmax(1).unique()) > 1
        assert answer.task is not None and torch.equal(answer.task, logits.argmax(1))
        for i, task in enumerate(answer.task.tolist()):
            assert answer.output[i] == made.predict(inputs[i : i + 1], task).output

    def test_only_tasks_so_far_are_answers(self) -> None:
        made = learned(learner("hnet_tir", BENCHMARK, "cl3"), BENCHMARK, 2, steps=1)
        answer = made.predict(torch.randn(200, 2))
        assert answer.task is not None and answer.task.max() < 2

    @pytest.mark.parametrize("targets", ["hard", "soft"])
    def test_targets(self, targets: str) -> None:
        """Hard: the task that a sample was drawn for, whatever the former network says of it."""
        inference = REPLAY | CLASSIFIER | {"targets": targets}
        made = learned(learner("hnet_tir", BENCHMARK, "cl3", task_inference=inference), BENCHMARK, 2)
        made.begin_task(BENCHMARK.tasks)
        classifier: Any = made.task_inference.classifier
        inputs, tasks = classifier.generator.replay(8)
        logits = classifier.network(inputs)
        expected = F.cross_entropy(logits, tasks)
        found = classifier.replay_loss(inputs, tasks)
        assert torch.isclose(found, expected) == (targets == "hard")

    @pytest.mark.parametrize(("targets", "asked"), [("hard", 0), ("soft", 1)])
    def test_the_former_network_is_asked_only_where_it_is_listened_to(self, targets: str, asked: int) -> None:
        inference = REPLAY | CLASSIFIER | {"targets": targets}
        made = learned(learner("hnet_tir", BENCHMARK, "cl3", task_inference=inference), BENCHMARK, 2)
        made.begin_task(BENCHMARK.tasks)
        classifier: Any = made.task_inference.classifier
        teacher, calls = classifier._teacher, []
        classifier._teacher = lambda inputs: calls.append(inputs) or teacher(inputs)
        made.step(*NEW)
        assert len(calls) == asked

    @pytest.mark.parametrize("new_heads", ["zero_logit", "zero_probability"])
    def test_soft_targets_do_not_listen_to_an_output_that_was_never_trained(self, new_heads: str) -> None:
        """A softmax over one task only is 1 whatever its logit, so the first task's samples are taken for it."""
        inference = REPLAY | CLASSIFIER | {"targets": "soft", "new_heads": new_heads}
        made = learned(learner("hnet_tir", BENCHMARK, "cl3", task_inference=inference), BENCHMARK, 1)
        made.begin_task(BENCHMARK.tasks[:2])
        classifier: Any = made.task_inference.classifier
        inputs, tasks = classifier.generator.replay(8)
        of_first = (classifier.network(inputs)[:, :2] / 2).log_softmax(1)[:, 0]
        torch.testing.assert_close(classifier.replay_loss(inputs, tasks), -4 * of_first.mean())

    def test_the_new_task_is_its_own_class(self) -> None:
        made = learned(learner("hnet_tir", BENCHMARK, "cl3", optimizer=slowly), BENCHMARK, 2)
        made.begin_task(BENCHMARK.tasks)
        classifier: Any = made.task_inference.classifier
        logits = classifier.network(NEW[0])
        losses = made.step(*NEW)
        expected = F.cross_entropy(logits, torch.full((8,), 2))
        torch.testing.assert_close(losses["task_inference/loss"], expected)
        assert {"loss", "regularizer", "task_inference/replay", "task_inference/kl"} < set(losses)

    def test_the_hypernetwork_learns_what_it_learns_without(self) -> None:
        plain, inferring = (learned(learner(m, BENCHMARK, "cl3"), BENCHMARK, 3) for m in ("hnet_ent", "hnet_tir"))
        assert same_state(plain.hypernetwork.state_dict(), inferring.hypernetwork.state_dict())

    def test_with_the_task_told_there_is_none(self) -> None:
        plain, inferring = (learned(learner(m, BENCHMARK, "cl1"), BENCHMARK, 3) for m in ("hnet", "hnet_tir"))
        assert same_state(plain.state_dict(), inferring.state_dict()) and inferring.samples(3) is None

    def test_without_knowledge_of_the_samples_tasks_it_teaches_itself(self) -> None:
        inference = REPLAY | CLASSIFIER | {"targets": "hard", "generator": PLAIN}
        made = learned(learner("hnet_tir", BENCHMARK, "cl3", task_inference=inference), BENCHMARK, 2)
        made.begin_task(BENCHMARK.tasks)
        classifier: Any = made.task_inference.classifier
        inputs, tasks = classifier.generator.replay(8)
        logits = classifier.network(inputs)
        expected = F.cross_entropy(logits, logits[:, :2].argmax(1))
        torch.testing.assert_close(classifier.replay_loss(inputs, tasks), expected)


def test_evaluating_samples_draws_nothing_from_training() -> None:
    made = learned(learner("hnet_r", BENCHMARK, "cl3"), BENCHMARK, 2)
    before = copy.deepcopy(made.state_dict())
    state = torch.get_rng_state()
    first, second = (sample_quality(made, BENCHMARK.tasks[:2]) for _ in range(2))
    assert first == second and torch.equal(state, torch.get_rng_state()) and same_state(before, made.state_dict())
    assert first is not None and first.pictures is None and len(first.recognised) == 2 and 0 <= first.real <= 1


def test_samples_survive_in_the_state() -> None:
    for method in ("hnet_r", "dgr"):
        first, second = (learner(method, BENCHMARK, "cl3") for _ in range(2))
        learned(first, BENCHMARK, 2)
        second.load_state_dict(first.state_dict())
        one, other = (made.generator.samples(5) for made in (first, second))
        assert isinstance(one, Samples) and len(one.inputs) == 10 and torch.equal(one.inputs, other.inputs)

"""HNET does, step for step, what the paper's algorithm says."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import torch
import torch.nn.functional as F
from builders import BETAS, BLOCKS, EXPLICIT, FAST, HNET, LR, begin, blobs, learner, written_out
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import stream
from hnet_cl.hypernet import BlockRegularizer, GramRegularizer
from hnet_cl.methods.hnet import HNet, output_parameters

BENCHMARK = blobs()
THETA = ("chunk_embeddings", "trunk.0.weight", "trunk.0.bias", "head")


class Adam:
    """Adam as its authors wrote it, on named tensors."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self.first = {name: torch.zeros_like(value) for name, value in values.items()}
        self.second = {name: torch.zeros_like(value) for name, value in values.items()}
        self.steps = 0

    def moved(self, values: Mapping[str, Tensor], gradients: Mapping[str, Tensor], commit: bool) -> dict[str, Tensor]:
        """`values` after one step; the moments change only with `commit`."""
        after, steps = {}, self.steps + 1
        for name, gradient in gradients.items():
            first = BETAS[0] * self.first[name] + (1 - BETAS[0]) * gradient
            second = BETAS[1] * self.second[name] + (1 - BETAS[1]) * gradient**2
            ratio = first / (1 - BETAS[0] ** steps) / ((second / (1 - BETAS[1] ** steps)).sqrt() + 1e-8)
            after[name] = values[name] - LR * ratio
            if commit:
                self.first[name], self.second[name], self.steps = first, second, steps
        return after


class ByHand:
    """The paper's algorithm for the target MLP 2-5-6 with its three heads of two outputs."""

    def __init__(self, made: HNet, strength: float, lookahead: bool, mask: bool) -> None:
        self.hypernetwork, self.strength, self.lookahead, self.mask = made.hypernetwork, strength, lookahead, mask
        parameters = {name: p.detach().clone() for name, p in made.hypernetwork.named_parameters()}
        self.embeddings = [parameters.pop(f"task_embeddings.{task}") for task in range(3)]
        self.theta = parameters

    def weights(self, theta: Mapping[str, Tensor], task: int) -> Tensor:
        return written_out(self.hypernetwork, theta, self.embeddings[task])

    def begin_task(self, task: int) -> None:
        self.task = task
        self.optimizer, self.embedding_optimizer = Adam(self.theta), Adam({"e": self.embeddings[task]})
        self.star = [self.weights(self.theta, old) for old in range(task)]

    def task_loss(self, inputs: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        w1, b1, w2, b2 = weights.split([10, 5, 30, 6])
        logits = (inputs @ w1.view(5, 2).T + b1).relu() @ w2.view(6, 5).T + b2
        return F.cross_entropy(logits[:, 2 * self.task : 2 * self.task + 2], labels)

    def drift(self, theta: Mapping[str, Tensor]) -> Tensor:
        total = torch.zeros(())
        for old, star in enumerate(self.star):
            counts = torch.ones(51)
            if self.mask:  # rows of the output layer that are not the old task's own
                other = [row for row in range(6) if row not in (2 * old, 2 * old + 1)]
                counts[15:45].view(6, 5)[other] = 0
                counts[45:][other] = 0
            total = total + (counts * (self.weights(theta, old) - star) ** 2).sum()
        return total / len(self.star)

    def step(self, inputs: Tensor, labels: Tensor) -> dict[str, float]:
        theta = {name: value.clone().requires_grad_() for name, value in self.theta.items()}
        embedding = self.embeddings[self.task].clone().requires_grad_()
        loss = self.task_loss(inputs, labels, written_out(self.hypernetwork, theta, embedding))
        *rest, of_embedding = torch.autograd.grad(loss, [*theta.values(), embedding])
        gradients = dict(zip(theta, rest, strict=True))
        losses = {"loss": loss.item()}
        if self.star and self.strength:
            point = self.optimizer.moved(self.theta, gradients, commit=False) if self.lookahead else self.theta
            point = {name: value.clone().requires_grad_() for name, value in point.items()}
            value = self.drift(point)
            protecting = torch.autograd.grad(value, list(point.values()))
            gradients = {n: g + self.strength * r for (n, g), r in zip(gradients.items(), protecting, strict=True)}
            losses["regularizer"] = value.item()
        self.theta = self.optimizer.moved(self.theta, gradients, commit=True)
        after = self.embedding_optimizer.moved({"e": embedding.detach()}, {"e": of_embedding}, commit=True)
        self.embeddings[self.task] = after["e"]
        return losses


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"regularizer": EXPLICIT},
        {"regularizer": EXPLICIT, "lookahead": False},
        {"lookahead": False},
        {"mask_heads": True},
        {"strength": 0.0},
        {"strength": 3.0, "mask_heads": True, "lookahead": False},
    ],
    ids=str,
)
def test_steps_are_those_of_the_papers_algorithm(choices: dict[str, Any]) -> None:
    made = learner("hnet", BENCHMARK, **choices).double()
    strength, lookahead = choices.get("strength", 0.05), choices.get("lookahead", True)
    by_hand = ByHand(made, strength, lookahead, choices.get("mask_heads", False))
    for task in range(3):
        begin(made, task)
        by_hand.begin_task(task)
        for _ in range(3):
            inputs, labels = torch.randn(8, 2, dtype=torch.float64), torch.randint(2, (8,))
            losses = {name: value.item() for name, value in made.step(inputs, labels).items()}
            assert losses == pytest.approx(by_hand.step(inputs, labels), rel=1e-8, abs=1e-15)
        made.end_task()
        embeddings = list(made.hypernetwork.task_embeddings)
        torch.testing.assert_close([e.data for e in embeddings], by_hand.embeddings, rtol=0, atol=1e-8)
        for name in THETA:
            ours = made.hypernetwork.get_parameter(name).data
            torch.testing.assert_close(ours, by_hand.theta[name], rtol=0, atol=1e-8)


def trained(made: HNet, tasks: int = 3, steps: int = 4) -> list[set[str]]:
    """Learns random tasks; the names of the losses of each task."""
    names = []
    for task in range(tasks):
        begin(made, task)
        for _ in range(steps):
            losses = made.step(torch.randn(8, 2), torch.randint(2, (8,)))
        names.append(set(losses))
        made.end_task()
    return names


def test_old_and_future_embeddings_rest_exactly() -> None:
    made = learner("hnet", BENCHMARK)
    before = [embedding.detach().clone() for embedding in made.hypernetwork.task_embeddings]
    trained(made, tasks=1)
    after_first = made.hypernetwork.task_embeddings[0].detach().clone()
    begin(made, 1)
    made.step(torch.randn(8, 2), torch.randint(2, (8,)))
    now = made.hypernetwork.task_embeddings
    assert not torch.equal(after_first, before[0]) and not torch.equal(now[1], before[1])
    assert torch.equal(now[0], after_first) and torch.equal(now[2], before[2])


@pytest.mark.parametrize(("new_embedding", "same"), [("random", False), ("previous", True)])
def test_where_a_new_embedding_starts(new_embedding: str, same: bool) -> None:
    made = learner("hnet", BENCHMARK, new_embedding=new_embedding)
    trained(made, tasks=1)
    begin(made, 1)
    first, second, third = made.hypernetwork.task_embeddings
    assert torch.equal(first, second) == same and not torch.equal(second, third)
    made.step(torch.randn(8, 2), torch.randint(2, (8,)))
    assert not torch.equal(first, second)


def test_a_new_embedding_may_start_at_the_mean_of_all_old_ones() -> None:
    made = learner("hnet", BENCHMARK, new_embedding="mean")
    trained(made, tasks=2)
    first, second, third = made.hypernetwork.task_embeddings
    begin(made, 2)
    torch.testing.assert_close(third, (first + second) / 2, rtol=0, atol=0)
    made.step(torch.randn(8, 2), torch.randint(2, (8,)))
    assert not torch.equal(third, (first + second) / 2)


@pytest.mark.parametrize("strength", [0.05, 0.0])
def test_plastic_embeddings_of_old_tasks_move_with_the_regulariser(strength: float) -> None:
    hypernet = HNET["hypernet"] | {"old_embeddings": "plastic"}
    made = learner("hnet", BENCHMARK, hypernet=hypernet, strength=strength)
    trained(made, tasks=1)
    before = [embedding.detach().clone() for embedding in made.hypernetwork.task_embeddings]
    begin(made, 1)
    for _ in range(2):
        made.step(torch.randn(8, 2), torch.randint(2, (8,)))
    moved = [not torch.equal(*pair) for pair in zip(before, made.hypernetwork.task_embeddings, strict=True)]
    assert moved == [strength > 0, True, False]


@pytest.mark.parametrize("lookahead", [True, False])
def test_steps_with_every_block_drawn_once_are_those_with_all_of_them(
    lookahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [learner("hnet", BENCHMARK, regularizer=one, lookahead=lookahead).double() for one in (FAST, BLOCKS)]
    for task in range(3):
        for one in made:
            begin(one, task)
        if sampled := made[1].protected.regularizer:
            monkeypatch.setattr(sampled, "draw", Mock(return_value=torch.arange(sampled.number).flip(0)))
        for _ in range(3):
            inputs, labels = torch.randn(8, 2, dtype=torch.float64), torch.randint(2, (8,))
            whole, blocks = ({n: v.item() for n, v in one.step(inputs, labels).items()} for one in made)
            assert blocks == pytest.approx(whole, rel=1e-9, abs=1e-15)
    assert isinstance(sampled, BlockRegularizer)


@pytest.mark.parametrize(("strength", "from_second"), [(0.0, {"loss"}), (0.1, {"loss", "regularizer"})])
def test_a_regulariser_exists_only_where_it_counts(strength: float, from_second: set[str]) -> None:
    made = learner("hnet", BENCHMARK, strength=strength)
    assert trained(made) == [{"loss"}, from_second, from_second]
    assert (made.protected.regularizer is None) == (strength == 0)


def test_without_lookahead_the_first_step_of_a_task_has_no_drift() -> None:
    for lookahead in (True, False):
        made = learner("hnet", BENCHMARK, lookahead=lookahead)
        trained(made, tasks=1)
        begin(made, 1)
        drift = made.step(torch.randn(8, 2), torch.randint(2, (8,)))["regularizer"].item()
        assert drift > 1e-4 if lookahead else drift == 0


@pytest.mark.parametrize("kind", [GramRegularizer, BlockRegularizer])
def test_what_is_regularised_is_a_stream_of_uniform_draws(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor | None] = []
    draw = kind.draw  # type: ignore[attr-defined]
    monkeypatch.setattr(kind, "draw", lambda regularizer: drawn.append(draw(regularizer)) or drawn[-1])
    choice = FAST | {"sampled_tasks": 2} if kind is GramRegularizer else BLOCKS | {"sampled_blocks": 9}
    made = learner("hnet", blobs(num_tasks=5), regularizer=choice)
    chunks = made.hypernetwork.num_chunks
    for task in range(5):
        begin(made, task)
        for _ in range(200 if task == 4 else 1):
            made.step(torch.randn(8, 2), torch.randint(2, (8,)))
    assert drawn[:2] == [None, None]  # one and two old tasks, with eight blocks: all of them
    expected = stream(1, "regularized tasks", 4)
    draws = torch.stack([one for one in drawn[3:] if one is not None])
    for one in draws:
        of_tasks, of_blocks = partial(torch.randperm, 4), partial(torch.randint, 4 * chunks, (9,))
        assert torch.equal(one, (of_tasks if kind is GramRegularizer else of_blocks)(generator=expected)[: len(one)])
    counts = torch.bincount(draws.flatten())
    assert len(draws) == 200 and (counts > 0.7 * draws.numel() / len(counts)).all()  # the standard deviation is 0.1


def normalized(num_outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, num_outputs))


def test_each_task_has_buffers_of_its_own() -> None:
    made = learner("hnet", BENCHMARK, target=normalized)
    means = []
    for task in range(3):
        begin(made, task)
        for _ in range(4):
            made.step(torch.randn(8, 2) + 10 * task, torch.randint(2, (8,)))
        made.end_task()
        means.append(made.networks.buffers[task]["1.running_mean"].clone())
        made.predict(torch.randn(8, 2), 0)  # answering does not move them
    assert all(torch.equal(made.networks.buffers[task]["1.running_mean"], means[task]) for task in range(3))
    assert not torch.equal(means[0], means[1])
    assert [made.networks.buffers[task]["1.num_batches_tracked"].item() for task in range(3)] == [4, 4, 4]


def test_answers_are_outputs_of_the_told_tasks_head() -> None:
    made = learner("hnet", blobs(num_classes=3), "cl1")
    trained(made)
    inputs = torch.randn(50, 2)
    for task in range(3):
        w1, b1, w2, b2 = made.hypernetwork(task).detach().split([10, 5, 45, 9])
        logits = (inputs @ w1.view(5, 2).T + b1).relu() @ w2.view(9, 5).T + b2
        answer = made.predict(inputs, task)
        assert answer.task is None
        assert torch.equal(answer.output, logits[:, 3 * task : 3 * task + 3].argmax(1) + 3 * task)


@pytest.mark.parametrize("choices", [{}, {"target": normalized}])
def test_state_holds_all_that_answers_depend_on(choices: dict[str, Any]) -> None:
    first, second = (learner("hnet", BENCHMARK, seed=seed, **choices) for seed in (1, 2))
    trained(first)
    second.load_state_dict(first.state_dict())
    inputs = torch.randn(200, 2)
    assert second.latest == 2
    for task in range(3):
        assert torch.equal(first.predict(inputs, task).output, second.predict(inputs, task).output)


def test_target_size_counts_generated_weights() -> None:
    assert learner("hnet", BENCHMARK).target_size == 51


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 4)), ("2.weight", "2.bias")),
        (nn.Sequential(nn.Linear(2, 6), nn.Linear(6, 4, bias=False), nn.Identity()), ("1.weight",)),
        (nn.Linear(2, 4), ("weight", "bias")),
    ],
)
def test_output_layer_is_the_last_linear_one(module: nn.Module, names: tuple[str, ...]) -> None:
    assert output_parameters(module, 4) == names


@pytest.mark.parametrize("module", [nn.Conv2d(1, 4, 1), nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 8))])
def test_heads_that_cannot_be_told_apart_cannot_be_masked(module: nn.Module) -> None:
    with pytest.raises(UserError, match=r"^method\.mask_heads=true: .* does not have 4 outputs"):
        output_parameters(module, 4)

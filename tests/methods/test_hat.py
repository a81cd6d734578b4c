"""Hard attention to the task on two units, by hand, and what it keeps of old tasks."""

from functools import partial
from math import cosh
from typing import Any

import pytest
import torch
from builders import RATE, adam, blobs, learned, learner, sgd
from torch import Tensor, nn

BENCHMARK = blobs(num_tasks=2)
BATCH = BENCHMARK.tasks[1].train.batch(slice(None))
STEEPEST = 5.0


class Two(nn.Module):
    """One hidden layer of two units, two of two more, and the outputs."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, num_outputs)

    def forward(self, x: Tensor, gates: Any = (1.0, 1.0)) -> Tensor:
        return self.head((self.second(self.first(x).tanh() * gates[0])).tanh() * gates[1])


def made_of(optimizer: Any = sgd, **changes: Any) -> Any:
    """A learner that has used its units by 0.2 and 1, and 0.5 and 0, and begins its second task."""
    made = learner("hat", BENCHMARK, target=Two, optimizer=optimizer, **({"steepest": STEEPEST} | changes))
    made.used[0].copy_(torch.tensor([0.2, 1.0]))
    made.used[1].copy_(torch.tensor([0.5, 0.0]))
    made.begin_task(BENCHMARK.tasks)
    return made


def test_slopes_grow_within_each_sweep() -> None:
    made, found = made_of(), []
    for _ in range(8):
        made.prepare(20)  # of 60 examples
        found.append(made.slope.item())
    low = 1 / STEEPEST
    sweep = [low, low + (STEEPEST - low) / 3, low + 2 * (STEEPEST - low) / 3]
    assert found == pytest.approx([*sweep, *sweep, *sweep[:2]])


@pytest.mark.parametrize("restricted", ["step", "gradient"])
def test_a_step_of_gradient_descent_by_hand(restricted: str) -> None:
    strength = 0.6
    made = made_of(strength=strength, restricted=restricted)
    copy = Two(4)
    copy.load_state_dict(made.network.state_dict())
    embeddings = [embedding.detach().clone().requires_grad_() for embedding in made.embeddings]
    slope = 1 / STEEPEST  # of a sweep's first step
    gates = [(slope * embedding[1]).sigmoid() for embedding in embeddings]
    loss = nn.functional.cross_entropy(copy(BATCH[0], gates)[:, 2:], BATCH[1])
    attention = (gates[0] @ torch.tensor([0.8, 0.0]) + gates[1] @ torch.tensor([0.5, 1.0])) / (0.8 + 1.5)
    (loss + strength * attention).backward()
    losses = made.step(*BATCH)
    torch.testing.assert_close(losses["loss"], loss.detach())
    torch.testing.assert_close(losses["attention"], attention.detach())
    factors = [
        torch.tensor([[0.8, 0.8], [0.0, 0.0]]),
        torch.tensor([0.8, 0.0]),
        torch.tensor([[0.8, 0.5], [1.0, 1.0]]),  # 1 - min(0.5, 0.2), 1 - min(0.5, 1), 1 - min(0, .)
        torch.tensor([0.5, 1.0]),
        torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]),
        torch.tensor([0.0, 0.0, 1.0, 1.0]),
    ]
    for weight, old, factor in zip(made.weights, copy.parameters(), factors, strict=True):
        assert old.grad is not None
        torch.testing.assert_close(weight.detach(), old.detach() - RATE * factor * old.grad)
    for embedding, old in zip(made.embeddings, embeddings, strict=True):
        assert old.grad is not None
        values = old.detach()[1].tolist()
        steep = torch.tensor([STEEPEST / slope * (cosh(slope * e) + 1) / (cosh(e) + 1) for e in values])
        torch.testing.assert_close(embedding.detach()[1], old.detach()[1] - RATE * steep * old.grad[1])
        assert torch.equal(embedding[0], old[0])


def test_embeddings_stay_near_zero_and_steep_ones_overflow_nowhere() -> None:
    made = made_of(optimizer=partial(torch.optim.SGD, lr=1e6), steepest=1e4)
    with torch.no_grad():
        for embedding in made.embeddings:
            embedding.fill_(6.0)
    for size in (30, 30):
        made.prepare(size)
        made.step(*BATCH)
        assert all(((embedding >= -6) & (embedding <= 6)).all() for embedding in made.embeddings)


def test_what_units_are_used_for_is_remembered() -> None:
    made = made_of()
    made.step(*BATCH)
    made.end_task()
    gates = [(STEEPEST * embedding[1]).sigmoid().detach() for embedding in made.embeddings]
    torch.testing.assert_close(made.used[0], torch.maximum(gates[0], torch.tensor([0.2, 1.0])))
    torch.testing.assert_close(made.used[1], torch.maximum(gates[1], torch.tensor([0.5, 0.0])))
    logits = made.predict(BATCH[0], 1).logits
    torch.testing.assert_close(logits, made.network(BATCH[0], gates)[:, 2:].detach())
    network, outputs = made.task_network(1)
    torch.testing.assert_close(network(BATCH[0])[:, outputs].detach(), logits)


MOVING = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1)


@pytest.mark.parametrize(("optimizer", "restricted"), [(sgd, "gradient"), (adam, "step"), (MOVING, "step")])
def test_decided_gates_keep_old_answers_to_the_bit(optimizer: Any, restricted: str) -> None:
    made = learner(
        "hat", BENCHMARK, target=Two, optimizer=optimizer, restricted=restricted, steepest=400.0, reset_optimizer=False
    )
    with torch.no_grad():
        for embedding in made.embeddings:
            embedding[0] = torch.tensor([6.0, -6.0])
    learned(made, BENCHMARK, 1, 3)
    inputs = BENCHMARK.tasks[0].test.images
    before, weights = made.predict(inputs, 0).logits, [weight.detach().clone() for weight in made.weights]
    made.begin_task(BENCHMARK.tasks)
    for _ in range(10):
        made.step(*BATCH)
    made.end_task()
    assert torch.equal(made.predict(inputs, 0).logits, before)
    assert (
        torch.equal(made.network.first.weight[0], weights[0][0])
        and made.network.second.weight[0, 0] == weights[2][0, 0]
    )
    assert (made.network.first.weight[1] != weights[0][1]).all() and (
        made.network.head.weight[2:] != weights[4][2:]
    ).all()


def test_adam_does_not_keep_to_factors_of_gradients() -> None:
    """A factor of 0.2 is none for Adam, which divides by the size of gradients."""
    moves = {}
    for restricted in ("step", "gradient"):
        made = made_of(adam, restricted=restricted)
        made.used[0].copy_(torch.tensor([0.8, 0.0]))
        made.begin_task(BENCHMARK.tasks)
        before = made.network.first.weight.detach().clone()
        made.step(*BATCH)
        moves[restricted] = (made.network.first.weight.detach() - before).abs().mean(1)
    torch.testing.assert_close(moves["step"], moves["gradient"] * torch.tensor([0.2, 1.0]), rtol=1e-3, atol=1e-6)

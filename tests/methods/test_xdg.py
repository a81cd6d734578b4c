"""Context-dependent gating: which units are off, and that a task's units alone speak and learn."""

import torch
from builders import blobs, learned, learner
from torch import nn

BENCHMARK = blobs()


def deep(num_outputs: int) -> nn.Module:
    """Hidden layers of 10 and 7 units."""
    return nn.Sequential(nn.Linear(2, 10), nn.ReLU(), nn.Linear(10, 7), nn.ReLU(), nn.Linear(7, num_outputs))


def test_the_share_that_is_off_is_fixed_by_seed_task_and_layer() -> None:
    first, again, other = (learner("xdg", BENCHMARK, seed=seed, target=deep, gated=0.65) for seed in (1, 1, 2))
    assert not list(first.buffers()), "nothing is stored"
    found = [first.gates(task) for task in range(3)]
    for gates in found:
        assert [int((one == 0).sum()) for one in gates] == [6, 4] and all(
            one.unique().tolist() == [0, 1] for one in gates
        )
    torch.rand(3)
    assert all(map(torch.equal, found[2], again.gates(2))), "in whatever order they are asked for"
    assert any(not torch.equal(*pair) for pair in zip(found[0], found[1], strict=True))
    assert any(not torch.equal(*pair) for pair in zip(found[0], other.gates(0), strict=True))


def test_units_that_are_off_do_not_speak_or_learn() -> None:
    made = learner("xdg", BENCHMARK, target=deep, gated=0.5)
    before = [weight.detach().clone() for weight in made.weights]
    learned(made, BENCHMARK, 1, 5)
    off = [gates == 0 for gates in made.gates(0)]
    for layer in range(2):
        for place in (2 * layer, 2 * layer + 1):
            moved = (made.weights[place] != before[place]).view(len(off[layer]), -1).any(1)
            assert not moved[off[layer]].any() and moved[~off[layer]].any()
    inputs = BENCHMARK.tasks[0].test.images
    logits = made.predict(inputs, 0).logits
    with torch.no_grad():
        made.weights[0][off[0]] += 1.0
    assert torch.equal(made.predict(inputs, 0).logits, logits)
    network, outputs = made.task_network(0)
    assert torch.equal(network.eval()(inputs)[:, outputs], logits)

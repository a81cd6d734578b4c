"""HyperMask: masks and steps by hand, what is masked, and what moves."""

from typing import Any

import pytest
import torch
from builders import RATE, TwoWeights, blobs, learned, learner, rows_of, sgd, training, two_weights, with_shared_head
from torch import nn

from hnet_cl.core.errors import UserError
from hnet_cl.methods.hypermask import HyperMask, mask_of
from hnet_cl.targets.mlp import MLP
from hnet_cl.targets.selection import freeze_others

BENCHMARK = blobs()


def test_a_mask_by_hand() -> None:
    """Of four numbers, the smallest two by size are cut; signs do not count."""
    generated = torch.tensor([[0.5, -2.0], [0.1, -0.3]])
    tanh = torch.tensor([[0.46211716, 0.96402758], [0.09966799, 0.29131261]])
    torch.testing.assert_close(mask_of(generated, 0.0), tanh)
    torch.testing.assert_close(mask_of(generated, 0.6), tanh * torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    torch.testing.assert_close(mask_of(torch.tensor([40.0, -30.0, 50.0]), 0.4), torch.tensor([1.0, 0.0, 1.0]))


def model(**changes: Any) -> HyperMask:
    """Logits w m x with two weights, whose masks come from generated numbers that are a bias each."""
    usual: dict[str, Any] = {"sparsity": 0.0, "strength": 0.0, "held": 0.5, "target": two_weights, "optimizer": sgd}
    made: HyperMask = with_shared_head("hypermask", **(usual | changes))
    with torch.no_grad():
        made.shared[0].copy_(torch.tensor([[0.5], [-0.7]]))
        made.hypernetwork.generate_zeros()
        assert made.hypernetwork.scales is not None
        made.hypernetwork.scales.fill_(1.0)
        made.hypernetwork.head[-1, :2] = torch.tensor([0.4, -1.2])
    return made


def test_what_masks_are_made_of_starts_as_large_as_is_said() -> None:
    """Too small masks stay small: `held` draws them to 0 before a second task is learned."""
    made = learner("hypermask", BENCHMARK, start=0.4, target=lambda n: MLP((2,), n, hidden=[40, 50]))
    parts = made.hypernetwork.layout.split(made.hypernetwork(0).detach())
    stds = [part.std().item() for part in parts.values() if part.numel() > 500]
    assert stds and all(0.8 < std / 0.4 < 1.25 for std in stds)


@pytest.mark.parametrize("by_mask", [True, False])
@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_a_step_by_hand(by_mask: bool, sparsity: float) -> None:
    """In the second task a weight that has moved is drawn back by 0.5 sign(w - w*) times its mask, or times 1."""
    benchmark = TwoWeights()
    made = model(held_by_mask=by_mask, sparsity=sparsity)
    made.latest = 0
    made.begin_task(benchmark.tasks[:2])
    weight = torch.tensor([[0.6], [-0.9]])
    with torch.no_grad():
        made.shared[0].copy_(weight)
    mask = torch.tensor([[0.4], [1.2]]).tanh() * torch.tensor([[float(sparsity == 0)], [1.0]])
    held = mask if by_mask else torch.ones_like(mask)
    inputs, labels = benchmark.tasks[1].train.batch(slice(None))
    p = (inputs @ (weight * mask).T).softmax(1)
    of_product = (p - nn.functional.one_hot(labels, 2)).T @ inputs / len(inputs)
    moved = torch.tensor([[0.1], [-0.2]])
    expected = -p[range(2), labels].log().mean() + 0.5 * (moved * held).abs().sum()
    torch.testing.assert_close(made.step(inputs, labels)["loss"], expected)
    torch.testing.assert_close(made.shared[0].data, weight - RATE * (of_product * mask + 0.5 * moved.sign() * held))
    signs, through = torch.tensor([[1.0], [-1.0]]), (mask > 0) * (1 - mask.square())
    of_mask = of_product * weight + (0.5 * moved.abs() if by_mask else 0.0)
    head = torch.tensor([0.4, -1.2]) - RATE * (of_mask * signs * through).flatten()
    torch.testing.assert_close(made.hypernetwork.head.data[-1, :2], head)


def test_within_the_first_task_the_mask_thins_out() -> None:
    """Of 20 numbers in each tensor of that size, 0, 3 and 6 are cut in the first three of three steps, then 6."""
    made = learner(
        "hypermask", BENCHMARK, sparsity=0.3, target=lambda n: nn.Sequential(nn.Linear(2, 10), nn.Linear(10, n))
    )
    made.task_steps = 3
    seen: list[int] = []
    counted = made._masks

    def count(generated: torch.Tensor, sparsity: float) -> Any:
        masks = [*counted(generated, sparsity)]
        assert masks[0] is not None
        seen.append(int((masks[0] == 0).sum()))
        return iter(masks)

    made._masks = count  # type: ignore[method-assign]
    for number in (0, 1):
        made.begin_task(BENCHMARK.tasks[: number + 1])
        for _ in range(3):
            seen.clear()
            made.step(*BENCHMARK.tasks[number].train.batch(slice(0, 8)))
            assert set(seen) == {[0, 3, 6][int(made.steps_done) - 1] if number == 0 else 6}
    seen.clear()
    made.predict(BENCHMARK.tasks[0].test.images, 0)
    assert seen == [6]


def normalized(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, outputs))


def test_normalisation_and_the_output_bias_have_no_mask() -> None:
    made = learner("hypermask", BENCHMARK, target=normalized)
    assert [*made.hypernetwork.layout.shapes] == ["0.weight", "0.bias", "3.weight"]
    assert made.generated_size == 8 + 4 + 24 and made.target_size == 8 + 4 + 8 + 24 + 6
    learned(made, BENCHMARK, 2, 2)
    weights = made.target.layout.split(made.networks.weights([1])[0])
    for name, value in zip(weights, made.shared, strict=True):
        assert torch.equal(weights[name], value) == (name in ("1.weight", "1.bias", "3.bias"))


def test_frozen_weights_stay_and_have_no_optimiser() -> None:
    made = learner("hypermask", BENCHMARK, weights="frozen", target=lambda n: MLP((2,), n, [50]))
    start = [weight.detach().clone() for weight in made.shared]
    rows = list(rows_of(made, BENCHMARK.tasks, training(iterations=100), []))
    assert all(map(torch.equal, start, made.shared)) and "shared optimizer" not in made.training_state()
    assert rows[0].scores[0] is not None and rows[0].scores[0] > 0.8, "masks alone learn"


@pytest.mark.parametrize("old", ["frozen", "plastic"])
def test_the_regulariser_moves_old_embeddings_if_it_may(old: str) -> None:
    hypernet = learner("hnet", BENCHMARK).settings.hypernet.model_dump() | {"old_embeddings": old}
    made = learned(learner("hypermask", BENCHMARK, hypernet=hypernet), BENCHMARK, 2, 3)
    before = [embedding.detach().clone() for embedding in made.hypernetwork.task_embeddings]
    made.begin_task(BENCHMARK.tasks)
    for _ in range(3):
        losses = made.step(*BENCHMARK.tasks[2].train.batch(slice(None)))
    assert losses.keys() == {"loss", "regularizer"}
    moved = [not torch.equal(*pair) for pair in zip(before, made.hypernetwork.task_embeddings, strict=True)]
    assert moved == [old == "plastic", old == "plastic", True]


def test_something_has_to_be_masked() -> None:
    def biased(outputs: int) -> nn.Module:
        network = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, outputs))
        freeze_others(network, {"2.bias"})
        return network

    with pytest.raises(UserError, match=r"^target\._target_=[\w.]+: method=hypermask masks no output bias and no"):
        learner("hypermask", BENCHMARK, target=biased)

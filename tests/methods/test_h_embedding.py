"""H-embedding: the H-score and the guide by hand, and HNET where nothing guides."""

from typing import Any

import pytest
import torch
from builders import blobs, learned, learner, same_state, sgd
from torch import Tensor, nn

from hnet_cl.core.seeding import Stream, stream
from hnet_cl.methods.h_embedding import HEmbedding
from hnet_cl.methods.parts.transfer import distances, guide, h_score
from hnet_cl.targets.output_layer import features_in

BENCHMARK = blobs(num_tasks=4)


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


@pytest.mark.parametrize(
    ("features", "labels", "expected"),
    [
        (column(0, 2, 4, 6), [0, 0, 1, 1], 16 / 20),  # of the sum of squares around 3, what class means 1 and 5 explain
        (column(0, 2, 0, 2), [0, 0, 1, 1], 0),
        (column(0, 0, 7, 7), [0, 0, 1, 1], 1),
        (column(1, 1, 1, 1), [0, 0, 1, 1], 0),
        (column(0, 2, 4, 6), [0, 0, 2, 2], 16 / 20),  # there is no example of a class
        (column(0, 3, 6), [0, 1, 1], 13.5 / 18),  # classes of different size: means 0 and 4.5
        (torch.eye(4), [0, 1, 2, 3], 3),  # of each class one feature: classes minus one
        (torch.eye(6)[[0, 1, 2]], [0, 0, 1], 1),  # more features than examples
    ],
)
def test_the_score_by_hand(features: Tensor, labels: list[int], expected: float) -> None:
    assert h_score(features, torch.tensor(labels)).item() == pytest.approx(expected, abs=1e-9)


def test_the_score_is_that_of_all_linear_maps_of_the_features() -> None:
    labels = torch.arange(60) % 3
    features = torch.randn(60, 4, dtype=torch.float64) + labels[:, None] * torch.tensor([1.0, 0.5, 0.0, 0.0])
    score = h_score(features, labels)
    assert 0.3 < score < 2
    torch.testing.assert_close(h_score(features @ torch.randn(4, 4).double() + 5, labels), score)
    torch.testing.assert_close(h_score(torch.cat([features, features[:, :2]], dim=1), labels), score)
    total = features - features.mean(0)
    between = torch.stack([features[labels == label].mean(0) for label in labels]) - features.mean(0)
    expected = (torch.linalg.inv(total.T @ total / 59) @ (between.T @ between / 59)).trace()
    torch.testing.assert_close(score, expected)
    assert h_score(features.log(), labels).isnan()


def test_the_guide_by_hand() -> None:
    """With places 0 and 4 and g = 1/2, s = 1, both terms fall with g and in all with s, and Adam moves them by lr."""
    torch.testing.assert_close(distances(torch.tensor([1.0, 0.5, 0.2])), torch.tensor([0.3, 0.8, 1.1]))
    old, wanted = torch.tensor([[0.0], [4.0]]), torch.tensor([1.0, 3.0])
    torch.testing.assert_close(guide(old, wanted, torch.tensor([0.5]), 1, 0.01), torch.tensor([0.51]))
    start, places = torch.tensor([0.3, 0.2]), torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
    right = torch.tensor([1.0, 1.0])
    found = guide(places, 1.3 * (right - places).norm(dim=1), start, 400, 0.01)
    torch.testing.assert_close(found, right, atol=0.03, rtol=0)
    assert not found.requires_grad


@pytest.mark.parametrize(("guidance", "alike"), [(0.3, 2), (0.0, 4)])
def test_without_a_guide_it_is_hnet(guidance: float, alike: int) -> None:
    """The first two tasks have none, as there are no two distances."""
    for tasks in range(alike, min(alike + 2, 5)):
        plain = learned(learner("hnet", BENCHMARK), BENCHMARK, tasks)
        made: Any = learned(learner("h_embedding", BENCHMARK, guidance=guidance), BENCHMARK, tasks)
        own = {name: value for name, value in made.state_dict().items() if "decoder" not in name}
        assert same_state(own, plain.state_dict()) == (tasks <= alike)


@pytest.mark.parametrize(("guidance", "weight"), [(0.3, 0.6), (0.8, 1.0)])
def test_the_loss_of_the_third_task_by_hand(guidance: float, weight: float) -> None:
    made: HEmbedding = learner("h_embedding", BENCHMARK, guidance=guidance, optimizer=sgd)
    learned(made, BENCHMARK, 2)
    made.begin_task(BENCHMARK.tasks[:3])
    inputs, labels = BENCHMARK.tasks[2].train.batch(slice(None))
    hypernetwork, task = made.hypernetwork, 2
    features = [
        hypernetwork.activation(hypernetwork.trunk[0](torch.cat([hypernetwork.task_embeddings[task], code])))
        for code in hypernetwork.chunk_embeddings
    ]
    guess, wanted = made.decoder(torch.cat(features)), made._guide
    assert wanted is not None and wanted.shape == (3,)
    cosine = (guess @ wanted / guess.norm() / wanted.norm()).item()
    own_outputs = made.target(hypernetwork(task), inputs)[:, made.heads.own(task)]
    expected = nn.functional.cross_entropy(own_outputs, labels).item() + weight * (1 - cosine)
    before = [parameter.detach().clone() for parameter in made.decoder.parameters()]
    assert made.step(inputs, labels)["loss"].item() == pytest.approx(expected, rel=1e-5)
    assert not all(map(torch.equal, before, made.decoder.parameters())), "the decoder learns, too"


def test_the_guide_is_found_from_the_scores() -> None:
    made: HEmbedding = learner("h_embedding", BENCHMARK, guide_steps=7, guide_lr=0.1, score_examples=1000)
    learned(made, BENCHMARK, 2)
    made.begin_task(BENCHMARK.tasks[:3])
    inputs, labels = BENCHMARK.tasks[2].train.batch(slice(None))
    scores = []
    for weights in made.networks.weights([0, 1]).detach():
        own = made.target.layout.split(weights)
        features = (inputs @ own["layers.0.weight"].T + own["layers.0.bias"]).relu()
        scores.append(h_score(features, labels))
    torch.testing.assert_close(made.scores(BENCHMARK.tasks[2].train), torch.stack(scores), rtol=1e-4, atol=1e-6)
    old = torch.stack([*made.hypernetwork.task_embeddings[:2]]).detach()
    wanted = distances(torch.stack(scores)).float()
    assert made._guide is not None
    start = torch.rand(3, generator=stream(1, Stream.GUIDE, 2))
    torch.testing.assert_close(made._guide, guide(old, wanted, start, 7, 0.1))


def test_features_are_what_the_output_layer_is_given() -> None:
    layers = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 6))
    inputs = torch.randn(5, 2)
    torch.testing.assert_close(features_in(layers, 6, layers, inputs), layers[1](layers[0](inputs)))
    torch.testing.assert_close(features_in(layers, 7, layers, inputs), layers(inputs))
    assert not layers[2]._forward_pre_hooks

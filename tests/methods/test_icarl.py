"""iCaRL by hand: herding on four points, the nearest mean of exemplars, and the loss of one step."""

import pytest
import torch
from builders import TwoWeights, blobs, learned, learner, sgd, two_weights
from torch import Tensor, nn
from torch.nn.functional import normalize

from hnet_cl.core.errors import UserError
from hnet_cl.methods.parts.exemplars import WITHOUT, features, herd, nearness
from hnet_cl.scenario import ScenarioSettings

BENCHMARK = TwoWeights()


def test_herding_on_four_points() -> None:
    """Of mean (1, 1): first the nearest point, then the one that brings the mean of both nearest, and so on.

    The points are (0, 0), (3, 0), (0, 3) and (1, 1). (1, 1) is the mean itself. With a second point the means are
    (0.5, 0.5), (2, 0.5) and (0.5, 2), at squared distances 0.5, 1.25 and 1.25. With a third (4/3, 1/3) and (1/3, 4/3)
    are equally far, and the first is taken.
    """
    points = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    assert herd(points, 4).tolist() == [3, 0, 1, 2]
    assert herd(points, 2).tolist() == [3, 0] and herd(points, 0).tolist() == []


def test_the_order_is_not_that_of_nearness() -> None:
    """Of mean 2: 2.2; then 1.5, for a mean of 1.85 (1.4 gives 1.8); then 2.9, for 2.2 (1.4 gives 1.7)."""
    points = torch.tensor([[1.5], [1.4], [2.9], [2.2]])
    assert herd(points, 4).tolist() == [3, 0, 2, 1]


def test_the_nearest_mean_decides() -> None:
    """Means at 0, 90 and 180 degrees, and a class without exemplars; an input at 60 degrees is of the second class."""
    means = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 0.0]])
    angles = torch.tensor([60.0, 30.0, 170.0, 260.0]).deg2rad()
    known = torch.tensor([True, True, True, False])
    found = nearness(torch.stack([angles.cos(), angles.sin()], 1), means, known)
    assert found.argmax(1).tolist() == [1, 0, 2, 2]
    sides = torch.tensor([60.0, 30.0, 120.0]).deg2rad()  # a chord of an angle has length 2 sin(angle / 2)
    torch.testing.assert_close(found[0, :3], -2 * (sides / 2).sin())
    assert found[:, 3].eq(WITHOUT).all() and found[:, :3].gt(WITHOUT).all()


def test_features_are_what_the_last_layer_is_given() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
    x = torch.randn(5, 2)
    torch.testing.assert_close(features(network, x, 4), normalize(network[:2](x), dim=1))
    assert torch.equal(features(network, x, 5), normalize(network(x), dim=1)), "no layer with five rows: its outputs"
    rows = nn.Sequential(nn.Unflatten(1, (2, 1)), nn.Linear(1, 4), nn.Flatten())
    assert torch.equal(features(rows, x, 4), normalize(rows(x), dim=1)), "not a matrix: its outputs"


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_loss(reduction: str) -> None:
    temperature = 2.0
    made = learner("icarl", BENCHMARK, "cl3", target=two_weights, optimizer=sgd, reduction=reduction)
    learned(made, BENCHMARK, 1)
    made.begin_task(BENCHMARK.tasks[:2])
    before = made.network.weight.detach().clone()
    x, labels, tasks = torch.tensor([[1.0], [0.5], [2.0]]), torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1])
    made.step(x, labels, tasks)
    w = made.network.weight.detach()
    targets = torch.cat([(x @ before[:2].T / temperature).sigmoid(), torch.tensor([[0.0, 0], [0, 0], [1, 0]])], 1)
    p = (x @ w[:4].T).sigmoid()
    each = -(targets * p.log() + (1 - targets) * (1 - p).log())
    torch.testing.assert_close(made.loss(x, labels, tasks), each.sum(1).mean() if reduction == "sum" else each.mean())


def test_the_first_task_has_labels_alone() -> None:
    made = learner("icarl", BENCHMARK, "cl3", target=two_weights, optimizer=sgd)
    made.begin_task(BENCHMARK.tasks[:1])
    x, labels = BENCHMARK.tasks[0].train.batch(slice(None))
    p = (x @ made.network.weight.detach()[:2].T).sigmoid()
    right, wrong = p[[0, 1], labels], p[[0, 1], 1 - labels]
    torch.testing.assert_close(made.loss(x, labels), -(right.log() + (1 - wrong).log()).mean())


def test_old_exemplars_make_way_from_the_end() -> None:
    benchmark = blobs(train_per_class=9)
    made = learner("icarl", benchmark, "cl3", exemplars={"examples": 12, "examples_per_class": None, "bytes": None})
    before: list[Tensor] = []
    for number, size in ((1, 6), (2, 3), (3, 2)):
        data = made.training_data(benchmark.tasks[:number])
        assert len(data) == sum(map(len, before)) + 18, "exemplars and the new task's examples"
        made.begin_task(benchmark.tasks[:number])
        made.step(*benchmark.tasks[number - 1].train.batch(slice(None)))
        made.end_task()
        assert [len(rows) for rows in made._rows] == [size] * 2 * number
        for old, new in zip(before, made._rows, strict=False):
            assert new.tolist() == old.tolist()[:size]
        before = list(made._rows)
        for output, rows in enumerate(before):
            assert benchmark.tasks[output // 2].train.labels[rows].eq(output % 2).all()
    assert made.kept_bytes()["examples"] == 12 * 10


def test_prediction_is_by_the_means_of_exemplars() -> None:
    benchmark = blobs()
    made = learned(learner("icarl", benchmark, "cl3"), benchmark, 3, 5)
    x = benchmark.tasks[1].test.images
    found = features(made.network.eval(), x, 6)
    means = []
    for output, rows in enumerate(made._rows):
        own = features(made.network, benchmark.tasks[output // 2].train.images[rows], 6).mean(0)
        means.append(normalize(own, dim=0))  # all zero where no hidden unit of the small network is active
    distances = (found[:, None] - torch.stack(means)).norm(dim=2)
    assert torch.equal(made.predict(x).output, distances.argmin(1))
    assert torch.equal(made.predict(x, 1).output, 2 + distances[:, 2:4].argmin(1))
    assert made.task_network(0) is None


def test_every_class_needs_an_exemplar() -> None:
    made = learner("icarl", BENCHMARK, "cl3", exemplars={"examples": 5, "examples_per_class": None, "bytes": None})
    with pytest.raises(UserError, match=r"^examples=5: too little for an exemplar of each of 6 classes; give more"):
        made.begin_task(BENCHMARK.tasks[:1])


@pytest.mark.parametrize(("known", "heads", "classes"), [(True, "separate", "separate"), (False, "shared", "shared")])
def test_it_is_for_class_incremental_learning(known: bool, heads: str, classes: str) -> None:
    made = learner("icarl", BENCHMARK, "cl3")
    scenario = ScenarioSettings(name="other", task_known=known, heads=heads, classes=classes)  # type: ignore[arg-type]
    assert type(made).unsupported(made.settings, scenario).endswith("use scenario=cl3")


def test_a_network_without_a_last_layer_is_told_of() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(6))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.weight

    assert learner("icarl", BENCHMARK, "cl3").inspect(torch.ones(2, 1)) == []
    (line,) = learner("icarl", BENCHMARK, "cl3", target=lambda _: Scaled()).inspect(torch.ones(2, 1))
    assert line.endswith("Scaled: has no nn.Linear as its last layer, so its outputs are taken as features")

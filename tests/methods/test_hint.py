"""HINT: with boxes of no size it is HNET, its loss and its growth by formula, and certificates that hold."""

from typing import Any

import pytest
import torch
from builders import BLOCKS, EXPLICIT, FAST, HNET, SETTINGS, blobs, learned, learner, rows_of, sgd, training
from pydantic import ValidationError
from torch import nn

from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import EndsRegularizer, GramRegularizer
from hnet_cl.methods.hint import HINT
from hnet_cl.methods.hnet import HNet
from hnet_cl.methods.parts.embeddings import task_embeddings
from hnet_cl.records import metrics
from hnet_cl.records.metrics_table import METRICS, Evidence
from hnet_cl.targets.bfloat16 import BFloat16
from hnet_cl.targets.mlp import MLP

BENCHMARK = blobs()
NOISY = blobs(spread=0.5)  # blobs overlap, so that not all answers are right


def by_hand(made: HINT, number: int, grown: float) -> Any:
    """The loss of a step on a whole task, with a box of a share of its size and kappa = 1 - grown / 2."""
    inputs, labels = BENCHMARK.tasks[number].train.batch(slice(None))
    own = made.heads.own(number)
    box = made.hypernetwork.box(number, grown)
    low, high = made.target.layout.split(box.low), made.target.layout.split(box.high)
    positive, negative = inputs.clamp(min=0), inputs.clamp(max=0)
    weight = "layers.0.weight"
    least = (positive @ low[weight].T + negative @ high[weight].T + low["layers.0.bias"]).relu()
    most = (positive @ high[weight].T + negative @ low[weight].T + high["layers.0.bias"]).relu()
    w1, w2 = low["layers.1.weight"][own], high["layers.1.weight"][own]
    lower = least @ w1.clamp(min=0).T + most @ w1.clamp(max=0).T + low["layers.1.bias"][own]
    upper = most @ w2.clamp(min=0).T + least @ w2.clamp(max=0).T + high["layers.1.bias"][own]
    worst = torch.where(nn.functional.one_hot(labels, 2).bool(), lower, upper)
    middle = made.target(box.centre, inputs)[:, own]
    kappa = 1 - grown / 2
    ce = nn.functional.cross_entropy
    return kappa * ce(middle, labels) + (1 - kappa) * ce(worst, labels)


def test_the_box_grows_over_the_first_half_of_a_task() -> None:
    """Of eight steps, the first four have 0, 1/3, 2/3 and all of the box, and kappa falls with it from 1 to 1/2."""
    made = learner("hint", BENCHMARK, ramp=0.5, kappa=0.5, radius=0.3)
    made.task_steps = 8
    for number in (0, 1):
        made.begin_task(BENCHMARK.tasks[: number + 1])
        for grown in (0.0, 1 / 3, 2 / 3, 1.0, 1.0):
            expected = by_hand(made, number, grown).item()
            found = made.step(*BENCHMARK.tasks[number].train.batch(slice(None)))["loss"].item()
            assert found == pytest.approx(expected, rel=1e-5)


def test_without_a_ramp_the_box_has_its_size_at_once() -> None:
    made = learner("hint", BENCHMARK, ramp=0.0)
    made.task_steps = 8
    made.begin_task(BENCHMARK.tasks[:1])
    expected = by_hand(made, 0, 1.0).item()
    assert made.step(*BENCHMARK.tasks[0].train.batch(slice(None)))["loss"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("lookahead", [False, True])
@pytest.mark.parametrize("protected", ["box", "centre"])
@pytest.mark.parametrize("regularizer", [FAST, pytest.param(EXPLICIT, marks=pytest.mark.slow)])
def test_boxes_of_no_size_are_hnet(lookahead: bool, protected: str, regularizer: dict[str, Any]) -> None:
    """Adam would magnify differences of rounding, where gradients are almost 0."""
    usual: dict[str, Any] = {"lookahead": lookahead, "regularizer": regularizer, "optimizer": sgd, "strength": 0.5}
    plain = learner("hnet", BENCHMARK, **usual)
    made = learner("hint", BENCHMARK, **usual, radius=0.0, protected=protected, ramp=0.0, kappa=0.3)
    for number, task in enumerate(BENCHMARK.tasks):
        plain.begin_task(BENCHMARK.tasks[: number + 1])
        made.begin_task(BENCHMARK.tasks[: number + 1])
        for _ in range(4):
            batch = task.train.batch(slice(None))
            expected, found = plain.step(*batch), made.step(*batch)
            assert found.keys() == expected.keys()
            for name, value in expected.items():
                torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-7)
        plain.end_task()
        made.end_task()
    own = made.state_dict()
    for name, value in plain.state_dict().items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(own[name], value, rtol=1e-4, atol=1e-6)
    assert not torch.equal(own["hypernetwork.head"], learner("hnet", BENCHMARK).hypernetwork.head)


@pytest.fixture(scope="module")
def trained() -> HINT:
    """A learner of three tasks with boxes so large that not all answers can be proved."""
    made: HINT = learner("hint", NOISY, radius=0.6)
    list(rows_of(made, NOISY.tasks, training(iterations=60), []))
    return made


def test_no_weights_in_the_box_are_worse_than_certified(trained: HINT) -> None:
    draws = torch.Generator().manual_seed(4)
    shares = []
    for task in NOISY.tasks:
        inputs, labels = task.test.batch(slice(None))
        proved = trained.certified(inputs, labels, task.id)
        shares.append(proved.float().mean().item())
        own, hypernetwork = trained.heads.own(task.id), trained.hypernetwork
        with torch.no_grad():
            box = hypernetwork.box(task.id)
            corners = torch.rand(100, len(box.low), generator=draws).round()
            inside = torch.rand(100, len(box.low), generator=draws)
            centre, radius = hypernetwork.embeddings([task.id]).chunk(2, dim=1)
            for share in (*corners, *inside):
                weights = box.low + share * (box.high - box.low)
                right = trained.target(weights, inputs)[:, own].argmax(1) == labels
                assert right[proved].all()
                assert right.float().mean() >= shares[-1]
            for place in 2 * torch.rand(30, centre.shape[1], generator=draws) - 1:
                embedding = torch.cat([centre + place * radius, 0 * radius], dim=1)
                weights = hypernetwork.generate(hypernetwork.features(embedding))[0]
                assert (trained.target(weights, inputs)[:, own].argmax(1) == labels)[proved].all()
            answers = trained.predict(inputs, task.id).output - own.start
        assert (answers == labels)[proved].all()
    assert any(share > 0 for share in shares) and any(share < 1 for share in shares), "there is something to prove"


def test_certificates_come_with_each_row() -> None:
    made = learner("hint", BENCHMARK, radius=0.05)
    heard: list[Any] = []

    class Heard:
        def certified(self, task: int, shares: Any) -> None:
            heard.append((task, shares))

        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    rows = list(rows_of(made, BENCHMARK.tasks, training(iterations=20), [Heard()]))
    assert heard == [(number, row.certified) for number, row in enumerate(rows)]
    for number, row in enumerate(rows):
        assert row.certified is not None and row.certified[number + 1 :] == [None] * (2 - number)
        for share, accuracy in zip(row.certified[: number + 1], row.scores, strict=False):
            assert share is not None and accuracy is not None and 0 <= share <= accuracy
    proved = [row.certified for row in rows]
    evidence = Evidence([row.scores for row in rows], certified=proved)  # type: ignore[misc]
    assert METRICS["certified"].formula(evidence) == pytest.approx(sum(proved[-1]) / 3)  # type: ignore[arg-type]
    assert METRICS["certified"].formula(Evidence([row.scores for row in rows])) is None
    assert metrics.acc([]) is None


@pytest.mark.parametrize(
    ("scenario", "target", "expected"),
    [
        ("cl1", lambda n: MLP((2,), n, [5]), True),
        ("cl3", lambda n: MLP((2,), n, [5]), False),
        ("cl1", lambda n: BFloat16(MLP((2,), n, [5])), False),
    ],
)
def test_where_answers_are_proved(scenario: str, target: Any, expected: bool) -> None:
    """Which task is inferred is not proved, nor what is rounded to bfloat16."""
    rule = SETTINGS["hnet_ent"]["task_inference"]
    made = learner("hint", BENCHMARK, scenario, target=target, task_inference=rule)
    rows = list(rows_of(made, BENCHMARK.tasks, training(iterations=2), []))
    assert made.certifies == expected and all((row.certified is not None) == expected for row in rows)
    assert (rows[1].inferred is not None) == (scenario == "cl3")


def test_what_the_regulariser_is() -> None:
    kinds = {}
    for protected in ("box", "centre"):
        made = learned(learner("hint", BENCHMARK, protected=protected), BENCHMARK, 2, 1)
        kinds[protected] = made.protected.regularizer  # type: ignore[union-attr]
    assert isinstance(kinds["box"], EndsRegularizer) and isinstance(kinds["box"].of_ends, GramRegularizer)
    assert isinstance(kinds["centre"], GramRegularizer)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"regularizer": BLOCKS}, {"mask_heads": True}, {"base": "initial"}])
def test_it_works_with_what_hnet_has(changes: dict[str, Any]) -> None:
    made = learner("hint", BENCHMARK, **changes)
    rows = list(rows_of(made, BENCHMARK.tasks, training(iterations=100), []))
    assert all(score is not None and score > 0.8 for score in rows[0].scores[:1])
    assert isinstance(made, HNet)


def test_new_boxes_can_start_from_old_ones() -> None:
    made = learner("hint", BENCHMARK, new_embedding="mean")
    learned(made, BENCHMARK, 2, 3)
    made.begin_task(BENCHMARK.tasks)
    boxes = made.hypernetwork
    for parameters in (boxes.task_embeddings, boxes.radius_logits):
        torch.testing.assert_close(parameters[2].data, (parameters[0] + parameters[1]).data / 2)


def test_what_is_recorded_of_its_embeddings_are_the_centres_of_their_boxes() -> None:
    made = learner("hint", BENCHMARK)
    centres = torch.stack([*made.hypernetwork.task_embeddings[:2]])
    torch.testing.assert_close(torch.tensor(task_embeddings(made, 2)), centres.detach())


def test_starts_of_weights_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"hypernet\.init=fan_in: is for weights, and boxes of weights are gen"):
        learner("hint", BENCHMARK, hypernet=HNET["hypernet"] | {"init": "fan_in"})


def test_boxes_that_move_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"hypernet\.old_embeddings=plastic: the boxes of old tasks have to rest"):
        learner("hint", BENCHMARK, hypernet=HNET["hypernet"] | {"old_embeddings": "plastic"})


def test_a_layer_without_bounds_is_named_before_training() -> None:
    def normalized(outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, outputs))

    line = r"^target\._target_=torch\.nn\.[\w.]+Sequential: method=hint knows .* and not of 1 \(nn\.BatchNorm1d\);"
    with pytest.raises(UserError, match=line):
        learner("hint", BENCHMARK, target=normalized)

"""The loop: what the learner and the listeners are told, and what a seed decides."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from builders import CLOSED_FORM, LR, METHODS, blobs, learned, learner, rows_of, same_state, training
from marks import few
from pydantic import ValidationError
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Benchmark, Split, Task
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.methods.base import Learner
from hnet_cl.training.evaluation import evaluate
from hnet_cl.training.listener import Listener
from hnet_cl.training.sample_quality import sample_quality
from hnet_cl.training.trainer import Row, Start, finite, train

QUICK = ["hnet_ent", "ewc", "er"]
every_method = pytest.mark.parametrize("method", few(METHODS, QUICK))
every_trained = pytest.mark.parametrize("method", few([name for name in METHODS if name not in CLOSED_FORM], QUICK))


class Notes(Listener):
    """A log that writes down what it hears; accuracies apart."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.accuracies: list[tuple[int, int, float | None]] = []

    def accuracy(self, task: int, iteration: int, accuracy: float | None) -> None:
        self.accuracies.append((task, iteration, accuracy))

    def begin_task(self, task: int, iteration: int) -> None:
        self.heard.append(("begin", task, iteration))

    def losses(self, task: int, iteration: int, losses: Mapping[str, float]) -> None:
        self.heard.append(("losses", task, iteration, set(losses)))

    def end_task(self, task: int) -> None:
        self.heard.append(("end", task))

    def samples(self, task: int, pictures: Any, recognised: Sequence[float], real: float) -> None:
        self.heard.append(("samples", task, pictures, len(recognised), real))

    def row(self, task: int, accuracies: Sequence[float | None], inferred: Sequence[Sequence[int]] | None) -> None:
        self.heard.append(("row", task, accuracies, inferred))


def run(learner: Learner, benchmark: Benchmark, **changes: Any) -> list[Row]:
    return list(rows_of(learner, benchmark.tasks, training(**changes), []))


def record_steps(learner: Learner) -> list[tuple[Tensor, ...]]:
    """Keeps the batches that a learner is given from now on."""
    seen: list[tuple[Tensor, ...]] = []
    step = learner.step

    def recorded(*batch: Tensor) -> dict[str, Tensor]:
        seen.append(batch)
        return step(*batch)

    learner.step = recorded  # type: ignore[method-assign]
    return seen


def all_equal(first: list[tuple[Tensor, ...]], second: list[tuple[Tensor, ...]]) -> bool:
    """Whether inputs and labels are."""
    pairs = zip(first, second, strict=True)
    return all(torch.equal(x, other_x) and torch.equal(y, other_y) for (x, y, *_), (other_x, other_y, *_) in pairs)


def test_listeners_hear_everything_in_order() -> None:
    benchmark, notes = blobs(), Notes()
    settings = training(iterations=7, log_every=3)
    rows = list(rows_of(learner("finetune", benchmark), benchmark.tasks, settings, [notes], Start(1)))
    assert len(rows) == 2
    assert notes.heard == [
        event
        for task in (1, 2)
        for event in (
            ("begin", task, 0),
            *(("losses", task, iteration, {"loss"}) for iteration in (3, 6, 7)),
            ("end", task),
            ("row", task, rows[task - 1].scores, rows[task - 1].inferred),
        )
    ]


@pytest.mark.parametrize("scenario", ["cl1", "cl3"])
def test_the_training_accuracy_is_that_of_the_network_before_the_step(scenario: str) -> None:
    benchmark, notes, right = blobs(), Notes(), []
    made = learner("finetune", benchmark, scenario)
    step = made.step

    def compared(inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        own, seen = made.heads.own(made.latest), made.heads.trained(made.latest)
        with torch.no_grad():
            answers = made.logits(inputs, made.latest)[:, seen].argmax(1) + seen.start
        right.append(
            sum(answer == label + own.start for answer, label in zip(answers, labels, strict=True)) / len(labels)
        )
        return step(inputs, labels)

    made.step = compared
    list(rows_of(made, benchmark.tasks, training(iterations=7, log_every=3), [notes]))
    assert [(task, iteration) for task, iteration, _ in notes.accuracies] == [
        (t, n) for t in range(3) for n in (3, 6, 7)
    ]
    measured = [accuracy for *_, accuracy in notes.accuracies]
    assert measured == pytest.approx([float(right[7 * task + n - 1]) for task in range(3) for n in (3, 6, 7)])
    assert len({*measured}) > 2


def test_methods_that_mix_tasks_in_a_batch_say_no_training_accuracy() -> None:
    benchmark, notes = blobs(), Notes()
    list(rows_of(learner("joint", benchmark), benchmark.tasks, training(iterations=1), [notes]))
    assert notes.accuracies == [(task, 1, None) for task in range(3)]


def test_samples_come_before_their_row() -> None:
    benchmark, notes = blobs(), Notes()
    made = learner("dgr", benchmark, "cl3")
    list(rows_of(made, benchmark.tasks, training(), [notes]))
    events = [event[:2] for event in notes.heard if event[0] in ("end", "samples", "row")]
    assert events == [(name, task) for task in range(3) for name in ("end", "samples", "row")]
    last = sample_quality(made, benchmark.tasks)
    assert last is not None and ("samples", 2, None, 3, last.real) in notes.heard


def test_a_row_is_the_accuracy_after_its_task() -> None:
    benchmark = blobs()
    made = learner("hnet", benchmark)
    for task, row in enumerate(rows_of(made, benchmark.tasks, training(), [])):
        assert made.latest == task
        assert row == evaluate(made, benchmark.tasks, task, 1000)
        assert [entry is None for entry in row.scores] == [other > task for other in range(3)]


def test_each_step_gets_a_batch_of_its_own_task() -> None:
    benchmark = blobs()
    made = learner("finetune", benchmark)
    seen = record_steps(made)
    run(made, benchmark, iterations=15, batch_size=8)
    assert len(seen) == 45
    orders: list[list[int]] = [[], [], []]
    for step, (inputs, labels) in enumerate(seen):
        train_split = benchmark.tasks[step // 15].train
        assert inputs.shape == (8, 2)
        where = (inputs[:, None] == train_split.images).all(2).nonzero()[:, 1]
        assert len(where) == 8 and torch.equal(train_split.labels[where], labels)
        orders[step // 15] += where.tolist()
    assert orders[0] != orders[1] != orders[2]  # each task has an order of its own
    first_sweep = torch.cat([inputs for inputs, _ in seen[:8]])[:60]
    assert len(first_sweep.unique(dim=0)) == 60  # every example once


@pytest.mark.slow
def test_all_methods_see_the_same_batches_where_they_learn_from_the_same_data() -> None:
    seen = {}
    for method in METHODS:
        made = learner(method, blobs())
        seen[method] = record_steps(made)
        run(made, blobs())
    gdumb, of_more = seen.pop("gdumb"), [seen.pop(method) for method in ("joint", "icarl")]
    assert all(all_equal(seen["hnet"], other) for other in seen.values())
    for other in of_more:
        assert all_equal(seen["hnet"][:15], other[:15]) and not all_equal(seen["hnet"][15:30], other[15:30])
    assert not all_equal(seen["hnet"][:15], gdumb[:15]), "which sees stored examples alone"


def forgetful(num_outputs: int) -> nn.Module:
    """A network that draws at every step, from torch's global generators."""
    return nn.Sequential(nn.Linear(2, 6), nn.Dropout(0.5), nn.Linear(6, num_outputs))


def test_learners_in_turns_are_what_each_is_alone() -> None:
    benchmark = blobs()
    names = [("hnet", 1), ("finetune", 1), ("hnet", 2)]
    alone = [learner(method, benchmark, seed=seed, target=forgetful) for method, seed in names]
    for made in alone:
        run(made, benchmark, iterations=25)
    together = [learner(method, benchmark, seed=seed, target=forgetful) for method, seed in names]
    settings = training(iterations=25)
    running = [train(made, benchmark.tasks, settings, []) for made in together]
    taken = list(zip(*running, strict=True))
    assert [row[0] is None for row in taken] == [True, True, True, False] * 3, "25 steps are three turns"
    for made, other in zip(alone, together, strict=True):
        assert same_state(made.state_dict(), other.state_dict())


class Drawn(Benchmark):
    """Two tasks, each image a number to which augmentation adds a draw from 0..999."""

    Settings = base.Settings

    def __init__(self) -> None:
        self.tasks = [
            Task(
                number,
                f"task {number + 1}",
                Split(
                    torch.arange(float(size))[:, None] * 1000,
                    torch.arange(size) % 2,
                    torch.clone,
                    augment=lambda images, draws: images + torch.randint(1000, images.shape, generator=draws),
                ),
                Split(torch.arange(4.0)[:, None] * 1000, torch.arange(4) % 2, torch.clone),
                2,
            )
            for number, size in enumerate((20, 9))
        ]


def one_input(num_outputs: int) -> nn.Module:
    return nn.Linear(1, num_outputs)


def test_what_is_learned_from_is_augmented_from_a_stream_of_its_own() -> None:
    seen = []
    for method, seed in (("hnet", 1), ("ewc", 1), ("ewc", 2)):
        made = learner(method, Drawn(), seed=seed, target=one_input)
        seen.append(record_steps(made))
        run(made, Drawn())
    assert all_equal(seen[0], seen[1]), "another method sees the same"
    draws = torch.stack([inputs % 1000 for inputs, _ in seen[0]])
    other = torch.stack([inputs % 1000 for inputs, _ in seen[2]])
    assert draws[:, :, 0].unique().numel() > 200 and not torch.equal(draws, other)
    whole, _ = Drawn().tasks[0].train.batch(slice(None))
    assert whole[:, 0].tolist() == [1000 * number for number in range(20)], "what is only looked at is not"


def test_epochs_are_sweeps_over_a_tasks_own_data() -> None:
    settings, tasks = training(iterations=None, epochs=3, batch_size=8), Drawn().tasks
    assert [settings.steps(task) for task in tasks] == [9, 6]  # 3 * ceil(20 / 8), 3 * ceil(9 / 8)
    made, notes = learner("finetune", Drawn(), target=one_input), Notes()
    list(rows_of(made, tasks, settings, [notes]))
    assert [(event[1], event[2]) for event in notes.heard if event[0] == "losses"] == [(0, 5), (0, 9), (1, 5), (1, 6)]


@pytest.mark.parametrize(("iterations", "epochs"), [(None, None), (5, 5)])
def test_a_task_is_as_long_as_one_of_both_says(iterations: int | None, epochs: int | None) -> None:
    with pytest.raises(ValidationError, match=rf"iterations={shown(iterations)} and epochs={shown(epochs)}: give one"):
        training(iterations=iterations, epochs=epochs)


def test_the_learning_rate_decays_within_each_task() -> None:
    settings = training(lr_decay=[[0.4, 0.1], [0.6, 0.01], [0.9, 0.002]])
    factors = [settings.decay_at(iteration, 200) for iteration in range(1, 201)]
    assert factors == [1] * 80 + [0.1] * 40 + [0.01] * 60 + [0.002] * 20
    assert training().decay_at(1000, 1000) == 1


@every_trained
def test_every_optimiser_follows_the_learning_rate(method: str) -> None:
    benchmark, rates = blobs(), []
    made = learner(method, benchmark)
    step = made.step

    def recorded(*batch: Tensor) -> dict[str, Tensor]:
        rates.append({group["lr"] for one in made.optimizers() for group in one.param_groups})
        return step(*batch)

    made.step = recorded
    list(rows_of(made, benchmark.tasks, training(iterations=4, lr_decay=[[0.5, 0.1]]), []))
    assert rates == [{LR}, {LR}, {LR * 0.1}, {LR * 0.1}] * 3


@pytest.mark.parametrize("pairs", [[[0.8, 0.01], [0.4, 0.1]], [[0.5, 0.1], [0.5, 0.2]], [[1.0, 0.1]], [[3.0, 5.0]]])
def test_a_decay_out_of_order_is_refused(pairs: list[list[float]]) -> None:
    with pytest.raises(ValidationError, match="ascending shares below 1"):
        training(lr_decay=pairs)


@every_method
def test_a_seed_decides_everything(method: str) -> None:
    results = []
    for seed in (1, 1, 2):
        torch.rand(seed)  # what else is drawn has no influence
        benchmark = blobs()
        made = learner(method, benchmark, seed=seed)
        start = {name: value.clone() for name, value in made.state_dict().items() if isinstance(value, Tensor)}
        seen = record_steps(made)
        results.append((start, seen, run(made, benchmark), made.state_dict()))
    (start, seen, rows, end), same, other = results
    assert same_state(start, same[0]) and all_equal(seen, same[1]) and rows == same[2] and same_state(end, same[3])
    assert not all_equal(seen, other[1])
    assert same_state(start, other[0]) == (method in CLOSED_FORM | {"supsup"}), "which start from zero"
    assert same_state(end, other[3]) == (method == "simple_cil"), "which draws nothing"


@every_method
def test_the_toy_benchmark_is_learned(method: str) -> None:
    rows = run(learner(method, blobs()), blobs(), iterations=150)
    assert all(row[task] > 0.9 for task, row in enumerate(row.scores for row in rows))  # type: ignore[operator]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_divergence_is_one_clear_line(number: float) -> None:
    task = blobs().tasks[1]
    losses = {"loss": torch.tensor(1.0), "regularizer": torch.tensor(number)}
    line = rf"^training diverged at iteration 12 of blobs 1: .*'regularizer': {number}.*training\.lr"
    with pytest.raises(UserError, match=line):
        finite(losses, task, 12)


def test_divergence_ends_the_run() -> None:
    benchmark = blobs()
    made = learner("finetune", benchmark)
    made.step = lambda *batch: {"loss": torch.tensor(float("nan"))}
    with pytest.raises(UserError, match="diverged at iteration 5 of blobs 0"):
        run(made, benchmark, log_every=5)


class Later:
    """A step after which a weight is NaN, though its loss was finite."""

    def __init__(self, learner: Learner, task: int, call: int) -> None:
        self.learner, self.task, self.call, self.calls = learner, task, call, 0
        self.step = learner.step

    def __call__(self, *batch: Tensor) -> dict[str, Tensor]:
        losses = self.step(*batch)
        self.calls += self.learner.latest == self.task
        if self.calls == self.call:
            with torch.no_grad():
                next(iter(self.learner.parameters())).view(-1)[0] = torch.nan
        return losses


@every_trained
def test_weights_that_the_last_step_has_made_nan_end_the_run(method: str) -> None:
    benchmark = blobs()
    made = learner(method, benchmark)
    made.step = Later(made, 0, 15)
    line = (
        rf"^training diverged in the last iterations of blobs 0: \S+ of {type(made).__name__} is NaN or infinite; use"
    )
    with pytest.raises(UserError, match=line):
        run(made, benchmark, iterations=15)


def test_frozen_weights_may_be_infinite() -> None:
    def masked(num_outputs: int) -> nn.Module:
        network = nn.Linear(2, num_outputs)
        network.mask = nn.Parameter(torch.full((3,), -torch.inf), requires_grad=False)
        network.register_buffer("other", torch.tensor(torch.nan))
        return network

    assert len(run(learner("joint", blobs(), target=masked), blobs())) == 3


@pytest.mark.parametrize("scenario", ["cl1", "cl3"])
@pytest.mark.parametrize("method", ["ewc", "si"])
def test_an_importance_that_is_nan_ends_the_run(method: str, scenario: str) -> None:
    benchmark = blobs()
    made = learner(method, benchmark, scenario)
    with pytest.raises(
        UserError, match=r"^training diverged: the importance of weights .* NaN or infinite; use a smaller"
    ):
        for row in rows_of(made, benchmark.tasks, training(), []):
            assert row.scores[1] is None
            for name, buffer in made.named_buffers():
                if "importance" in name or "omega" in name:
                    buffer.fill_(torch.inf)
            made.step = lambda *batch: {"loss": torch.zeros(())}  # else the penalty's value would tell


@pytest.mark.parametrize("method", ["hnet_r", "dgr"])
def test_a_generator_whose_samples_are_nan_ends_the_run(method: str) -> None:
    benchmark = blobs()
    made = learned(learner(method, benchmark, "cl3"), benchmark, 1)
    tasks = benchmark.tasks[:1]
    assert sample_quality(made, tasks) is not None
    images = made.generator.images
    made.generator.images = lambda outputs: images(outputs) / 0
    with pytest.raises(
        UserError, match=r"^training of the generator, whose samples are NaN or infinite, has diverged after task 1"
    ):
        sample_quality(made, tasks)
    made.generator.images = images
    generator = made.settings.generator
    hot = generator.model_copy(update={"judge": generator.judge.model_copy(update={"lr": 1e36})})
    made.settings = made.settings.model_copy(update={"generator": hot})
    with pytest.raises(UserError, match=r"^training of the classifier of real data has diverged after task 1; use"):
        sample_quality(made, tasks)

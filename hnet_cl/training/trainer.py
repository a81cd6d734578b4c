"""The training loop: tasks in sequence, one row of the accuracy matrix after each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Annotated, Any, Self

from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.checks import not_finite
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.core.seeding import OwnRandomness, Stream, seeded, stream
from hnet_cl.core.settings import Count, Settings
from hnet_cl.methods.base import Learner
from hnet_cl.training.batches import BatchStream
from hnet_cl.training.cuda_graph import make_steps
from hnet_cl.training.evaluation import Row, evaluate
from hnet_cl.training.listener import Listener
from hnet_cl.training.sample_quality import sample_quality
from hnet_cl.training.schedule import Schedule
from hnet_cl.training.task_state import TaskInProgress

STEPS_BETWEEN_YIELDS = 10  # steps after which another run in the same process may have its turn

Decay = Annotated[float, Field(ge=0, lt=1)]


class TrainingSettings(Settings):
    """Each task is learned for `iterations` steps or for `epochs` sweeps over its own data.

    A learner that learns from other data makes as many steps, so that all methods have the same training.

    `lr` is every optimiser's, `betas` are Adam's. `lr_decay` are pairs of a share of a task's steps and the factor of
    `lr` from there on. `gradient_clip_norm`: what the gradients of each optimiser are scaled down to.
    `shuffle_tasks` draws the order of the tasks from the run's seed. `validation` is the share of each task's training
    data that takes the place of its test data; 0 for a real test. `log_every` counts iterations.
    """

    iterations: Count | None
    epochs: Count | None
    batch_size: Annotated[int, Field(gt=0, le=10**7)]
    lr: PositiveFloat
    lr_decay: list[Annotated[list[PositiveFloat], Field(min_length=2, max_length=2)]]
    betas: Annotated[list[Decay], Field(min_length=2, max_length=2)]
    gradient_clip_norm: PositiveFloat | None
    shuffle_tasks: bool
    validation: Annotated[float, Field(ge=0, lt=1)]
    eval_batch_size: Count
    log_every: Count

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.iterations is None) == (self.epochs is None):
            raise ValueError(
                f"iterations={shown(self.iterations)} and epochs={shown(self.epochs)}: give one of them and set the "
                "other to null"
            )
        return self

    @model_validator(mode="after")
    def _decay_in_order(self) -> Self:
        shares = [share for share, _ in self.lr_decay]
        if shares != sorted(set(shares)) or any(share >= 1 for share in shares):
            raise ValueError(f"lr_decay={self.lr_decay}: give pairs [share, factor] with ascending shares below 1")
        return self

    def steps(self, task: Task) -> int:
        """Iterations that learn the task."""
        if self.iterations is not None:
            return self.iterations
        assert self.epochs is not None
        return self.epochs * ceil(len(task.train) / self.batch_size)

    def decay_at(self, iteration: int, steps: int) -> float:
        """Returns the factor of `lr` at an iteration (counted from 1) of a task that takes `steps`."""
        factor = 1.0
        for share, later in self.lr_decay:
            if iteration > round(share * steps):
                factor = later
        return factor


Pause = Callable[[int, Callable[[], Mapping[str, Any]]], None]


@dataclass(frozen=True)
class Start:
    """Where training sets in: number of tasks learned already, and in the middle of the next one where it stood.

    `iteration` iterations of that task are done, and `state` is what a `Pause` was offered then.
    """

    task: int = 0
    iteration: int = 0
    state: Mapping[str, Any] | None = None


def go_on(iteration: int, state: Callable[[], Mapping[str, Any]]) -> None:
    """A pause that does nothing."""


def train(
    learner: Learner,
    tasks: Sequence[Task],
    settings: TrainingSettings,
    logs: Sequence[Listener],
    start: Start | None = None,
    pause: Pause = go_on,
) -> Iterator[Row | None]:
    """Learns the tasks one after another and yields a row of the accuracy matrix after each.

    In between it yields None every `STEPS_BETWEEN_YIELDS` steps: several runs in one process can take turns.
    The order of batches is a random stream of its own: with the same seed, all methods see the same batches wherever
    they learn from the same data.
    `pause` is called after each step with the iterations done of the task and a function that tells its state.
    """
    start = start or Start()
    for latest in range(start.task, len(tasks)):
        here = start if latest == start.task else Start()
        yield from learn(learner, tasks[: latest + 1], settings, logs, here, pause)
        with seeded(learner.context.seed, Stream.EVALUATION, latest):  # for networks that draw at random even then
            row = evaluate(learner, tasks, latest, settings.eval_batch_size)
            show_samples(learner, tasks[: latest + 1], logs)
        for log in logs:
            log.row(latest, row.accuracies, row.inferred)
        yield row


def learn(
    learner: Learner,
    tasks: Sequence[Task],
    settings: TrainingSettings,
    logs: Sequence[Listener],
    start: Start,
    pause: Pause,
) -> Iterator[None]:
    """The training iterations of the last of `tasks` that are not done yet; yields every few of them."""
    task, seed = tasks[-1], learner.context.seed
    data = learner.training_data(tasks)
    batches = BatchStream(len(data), settings.batch_size, stream(seed, Stream.BATCHES, task.id))
    rng = stream(seed, Stream.AUGMENTATION, task.id)
    last = settings.steps(task)
    own = OwnRandomness(seed, Stream.STEPS, task.id)  # what modules draw without asking, as dropout does
    learner.begin_task(tasks)
    progress = TaskInProgress(learner, batches, rng)
    with own:
        if start.state is not None:
            progress.restore(start.state)
    step = make_steps(learner, data, rng)
    schedule = Schedule(learner, last, settings.decay_at if settings.lr_decay else None)
    for log in logs:
        log.begin_task(task.id, start.iteration)
    for turn in range(start.iteration, last, STEPS_BETWEEN_YIELDS):
        with own, step:
            for iteration in range(turn + 1, min(turn + STEPS_BETWEEN_YIELDS, last) + 1):
                if schedule.reach(iteration):
                    step.renew()
                losses = step(batches.next())
                if iteration % settings.log_every == 0 or iteration == last:
                    numbers = finite(losses, task, iteration)
                    for log in logs:
                        log.losses(task.id, iteration, numbers)
                pause(iteration, progress.state)
        yield
    step.join()
    check_weights(learner, task)
    with seeded(seed, Stream.END_OF_TASK, task.id):
        learner.end_task()
    for log in logs:
        log.end_task(task.id)


def show_samples(learner: Learner, tasks: Sequence[Task], logs: Sequence[Listener]) -> None:
    """Tells the logs what the learner's generator, if there is one, makes of the tasks so far."""
    quality = sample_quality(learner, tasks)
    if quality is not None:
        pictures = None if quality.pictures is None else quality.pictures.numpy()
        for log in logs:
            log.samples(tasks[-1].id, pictures, quality.recognised, quality.real)


def check_weights(learner: Learner, task: Task) -> None:
    """Looks at what the last steps of a task, whose losses nobody has seen, have made of the learner.

    Raises:
        UserError: weights are NaN or infinite.
    """
    trained = {name: weight.detach() for name, weight in learner.named_parameters() if weight.requires_grad}
    if wrong := not_finite(trained):
        raise UserError(
            f"training diverged in the last iterations of {task.name}: {', '.join(wrong[:3])} of "
            f"{type(learner).__name__} is NaN or infinite; use a smaller training.lr or method weight"
        )


def finite(losses: Mapping[str, Tensor], task: Task, iteration: int) -> dict[str, float]:
    """The losses as numbers.

    Raises:
        UserError: one of them is NaN or infinite: training has diverged, and what follows would be worthless.
    """
    numbers = {name: value.item() for name, value in losses.items()}
    if not all(map(isfinite, numbers.values())):
        raise UserError(
            f"training diverged at iteration {iteration} of {task.name}: {numbers}; use a smaller training.lr "
            "or method weight"
        )
    return numbers

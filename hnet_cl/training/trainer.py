"""The training loop: tasks in sequence, one row of the matrix of scores after each."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, ValidationInfo, field_validator, model_validator
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.checks import not_finite
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.core.scores import ACCURACY
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
from hnet_cl.training.window import Window

LONGEST_WORDS = 300  # characters of training.parameters and training.lora_layers

STEPS_BETWEEN_YIELDS = 10  # steps between two points where another run in the same process may take its turn

Decay = Annotated[float, Field(ge=0, lt=1)]


class TrainingSettings(Settings):
    """The settings of training: each task is learned for `iterations` steps or for `epochs` sweeps over its own data.

    A learner that learns from other data, such as those of earlier tasks too, makes the same number of steps, so that
    all methods are trained equally long.

    Attributes:
        lr: learning rate of every optimiser.
        lr_decay: pairs of a share of a task's steps and the factor of `lr` from there on.
        betas: decay rates of Adam and AdamW.
        gradient_clip_norm: L2 norm that the gradients of each optimiser are clipped to; None for no clipping.
        parameters: which of the target network's parameters are trained (`hnet_cl.targets.selection`).
        lora_rank, lora_scale, lora_layers: of the low-rank parts that `parameters` may select (`hnet_cl.targets.lora`).
        initial_weights: the file of the target network's first weights; None for weights drawn from the seed.
        initial_weights_checksum: of that file; not used without one.
        shuffle_tasks: whether the order of the tasks is drawn from the run's seed.
        likelihood: of labels in regression; None for the squared error, which is that of a Gaussian of one variance;
            `gaussian` for one whose variances are outputs of the network, too.
        log_variance: the least and the largest log-variance that `gaussian` can reach.
        validation: share of each task's training data that replaces its test data; 0 to use the test data.
        eval_window: iterations after the start of each task in which old tasks are tested; None for none.
        eval_every: iterations between two such tests.
        log_every: iterations between two logged losses.
    """

    iterations: Count | None
    epochs: Count | None
    batch_size: Annotated[int, Field(gt=0, le=10**7)]
    lr: PositiveFloat
    lr_decay: list[Annotated[list[PositiveFloat], Field(min_length=2, max_length=2)]]
    betas: Annotated[list[Decay], Field(min_length=2, max_length=2)]
    gradient_clip_norm: PositiveFloat | None
    likelihood: Literal["gaussian"] | None
    log_variance: Annotated[list[Annotated[float, Field(ge=-50, le=50)]], Field(min_length=2, max_length=2)]
    parameters: str
    lora_rank: Annotated[int, Field(gt=0, le=10**4)]
    lora_scale: PositiveFloat
    lora_layers: str
    initial_weights: str | None
    initial_weights_checksum: str | None
    shuffle_tasks: bool
    validation: Annotated[float, Field(ge=0, lt=1)]
    eval_batch_size: Count
    eval_window: Count | None
    eval_every: Count
    log_every: Count

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.iterations is None) == (self.epochs is None):
            raise ValueError(
                f"iterations={shown(self.iterations)} and epochs={shown(self.epochs)}: give one of them and set the "
                "other to null, as epochs=null"
            )
        return self

    @model_validator(mode="after")
    def _decay_in_order(self) -> Self:
        shares = [share for share, _ in self.lr_decay]
        if shares != sorted(set(shares)) or any(share >= 1 for share in shares):
            raise ValueError(f"lr_decay={self.lr_decay}: give pairs [share, factor] with ascending shares below 1")
        return self

    @field_validator("parameters", "lora_layers")
    @classmethod
    def _short_words(cls, words: str, info: ValidationInfo) -> str:
        if not (words.isprintable() and 0 < len(words) <= LONGEST_WORDS):
            example = "norms+head" if info.field_name == "parameters" else "groups.*"
            raise ValueError(f"give at most {LONGEST_WORDS} printable characters, as {example}")
        return words

    @model_validator(mode="after")
    def _something_in_the_window(self) -> Self:
        if self.eval_window is not None and self.eval_every > self.eval_window:
            raise ValueError(
                f"eval_every={self.eval_every} is more than eval_window={self.eval_window}, in which nothing would be "
                "tested then; give a smaller eval_every or a larger eval_window"
            )
        return self

    @field_validator("log_variance")
    @classmethod
    def _from_low_to_high(cls, bounds: list[float]) -> list[float]:
        if bounds[0] >= bounds[1]:
            raise ValueError("give the lower bound first, as [-10,0.5]")
        return bounds

    def steps(self, task: Task) -> int:
        """Returns the number of iterations for the task."""
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
    """The point where training starts or continues.

    Attributes:
        task: number of tasks that are already learned.
        iteration: iterations of the next task that are done.
        state: the state that a `Pause` was offered at that iteration; None at the start of a task.
    """

    task: int = 0
    iteration: int = 0
    state: Mapping[str, Any] | None = None


def go_on(iteration: int, state: Callable[[], Mapping[str, Any]]) -> None:
    """Does nothing: the default `Pause`."""


def train(
    learner: Learner,
    tasks: Sequence[Task],
    settings: TrainingSettings,
    logs: Sequence[Listener],
    start: Start | None = None,
    pause: Pause = go_on,
) -> Iterator[Row | None]:
    """Learns the tasks one after another and yields a row of the matrix of scores after each.

    In between it yields None every `STEPS_BETWEEN_YIELDS` steps, so that several runs in one process can take turns.
    The order of batches has its own random stream: with the same seed, all methods that learn from the same data see
    the same batches. `pause` is called after each step with the number of iterations done of the task and a function
    that returns the state of training.

    Raises:
        UserError: training diverges, or the state in `start` does not fit the learner.
    """
    start = start or Start()
    for latest in range(start.task, len(tasks)):
        here = start if latest == start.task else Start()
        yield from learn(learner, tasks[: latest + 1], settings, logs, here, pause)
        with seeded(learner.context.seed, Stream.EVALUATION, latest):  # for networks that are random even in evaluation
            row = evaluate(learner, tasks, latest, settings.eval_batch_size)
            show_samples(learner, tasks[: latest + 1], logs)
        for log in logs:
            if row.certified is not None:
                log.certified(latest, row.certified)
            log.row(latest, row.scores, row.inferred)
        yield row


def learn(
    learner: Learner,
    tasks: Sequence[Task],
    settings: TrainingSettings,
    logs: Sequence[Listener],
    start: Start,
    pause: Pause,
) -> Iterator[None]:
    """Trains the learner on the last of `tasks` from `start` on; yields every `STEPS_BETWEEN_YIELDS` iterations.

    Raises:
        UserError: as `train`.
    """
    task, seed = tasks[-1], learner.context.seed
    data = learner.training_data(tasks)
    batches = BatchStream(len(data), settings.batch_size, stream(seed, Stream.BATCHES, task.id))
    rng = stream(seed, Stream.AUGMENTATION, task.id)
    last = settings.steps(task)
    own = OwnRandomness(seed, Stream.STEPS, task.id)  # for modules that draw from global generators, as dropout does
    learner.task_steps = last
    learner.begin_task(tasks)
    progress = TaskInProgress(learner, batches, rng)
    with own:
        if start.state is not None:
            progress.restore(start.state)
    step = make_steps(learner, data, rng)
    schedule = Schedule(learner, last, settings.decay_at if settings.lr_decay else None)
    window = Window(learner, tasks, settings)
    for log in logs:
        log.begin_task(task.id, start.iteration)
    for turn in range(start.iteration, last, STEPS_BETWEEN_YIELDS):
        with own, step:
            for iteration in range(turn + 1, min(turn + STEPS_BETWEEN_YIELDS, last) + 1):
                if schedule.reach(iteration):
                    step.renew()
                losses = step(batches.next())
                if iteration % settings.log_every == 0 or iteration == last:
                    send_losses(learner, losses, task, iteration, logs)
                test_old_tasks(window, task, iteration, logs)
                pause(iteration, progress.state)
        yield
    step.join()
    check_weights(learner, task)
    with seeded(seed, Stream.END_OF_TASK, task.id):
        learner.end_task()
    for log in logs:
        log.end_task(task.id)


def send_losses(
    learner: Learner, losses: Mapping[str, Tensor], task: Task, iteration: int, logs: Sequence[Listener]
) -> None:
    """Sends the losses of a step, and the accuracy on its batch if it is classified and known, to the logs."""
    ranks, classifies = learner.context.ranks, learner.objective.score is ACCURACY
    numbers = finite(losses if ranks is None else ranks.mean(losses), task, iteration)
    accuracy = learner.answers.share_right() if classifies and learner.answers else None
    for log in logs:
        log.accuracy(task.id, iteration, accuracy)
        log.losses(task.id, iteration, numbers)


def test_old_tasks(window: Window, task: Task, iteration: int, logs: Sequence[Listener]) -> None:
    """Sends the scores on old tasks after an iteration of `task`, if they are tested then, to the logs."""
    start = time.perf_counter()
    scores = window.scores(iteration)
    if scores is not None:
        took_s = time.perf_counter() - start
        for log in logs:
            log.window(task.id, iteration, scores, took_s)


def show_samples(learner: Learner, tasks: Sequence[Task], logs: Sequence[Listener]) -> None:
    """Sends the quality of the samples of the learner's generator, if there is one, to the logs."""
    quality = sample_quality(learner, tasks)
    if quality is not None:
        pictures = None if quality.pictures is None else quality.pictures.numpy()
        for log in logs:
            log.samples(tasks[-1].id, pictures, quality.recognised, quality.real)


def check_weights(learner: Learner, task: Task) -> None:
    """Checks the weights after the last step of a task, as the losses before that step do not show its effect.

    Raises:
        UserError: trainable weights are NaN or infinite.
    """
    trained = {name: weight.detach() for name, weight in learner.named_parameters() if weight.requires_grad}
    if wrong := not_finite(trained):
        raise UserError(
            f"training diverged in the last iterations of {task.name}: {', '.join(wrong[:3])} of "
            f"{type(learner).__name__} is NaN or infinite; use a smaller training.lr or method weight"
        )


def finite(losses: Mapping[str, Tensor], task: Task, iteration: int) -> dict[str, float]:
    """Returns the losses as numbers.

    Raises:
        UserError: one of them is NaN or infinite, so training has diverged.
    """
    numbers = {name: value.item() for name, value in losses.items()}
    if not all(map(isfinite, numbers.values())):
        raise UserError(
            f"training diverged at iteration {iteration} of {task.name}: {numbers}; use a smaller training.lr "
            "or method weight"
        )
    return numbers

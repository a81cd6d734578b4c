"""Quality of a generator's samples: a classifier trained on real data assigns each to a task, if it is sure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hnet_cl.benchmarks.base import Task, TasksTogether
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, derive_seed, seeded, stream
from hnet_cl.hypernet import trainable
from hnet_cl.methods.base import Context, Learner, SampleClassifierSettings, Samples
from hnet_cl.training.lean_optimizers import without_compiler

NUMBER = 100  # samples per task that are evaluated
SURE = 0.5  # a class counts as recognised if it is more probable than all others together
BATCH = 128  # examples per step of the classifier's training
SHOWN = 16  # samples per task for display
REAL = 500  # real test examples per task that are also classified


class SampleQuality(NamedTuple):
    """The quality of the samples of a learner's generator for the T tasks so far.

    Attributes:
        pictures: (T, n, C, H, W) samples of each task in 0..1, on the CPU, filled up with NaN; None if inputs are not
            images.
        recognised: (T,) share of all evaluated samples of each task that a classifier of real data recognises.
        real: share of real test examples that it recognises, as a mean over tasks.
    """

    pictures: Tensor | None
    recognised: list[float]
    real: float


class Recognition(NamedTuple):
    """The task (b,) of the most probable class of each input, and whether its probability is above `SURE` (b,)."""

    tasks: Tensor
    sure: Tensor


def sample_quality(learner: Learner, tasks: Sequence[Task]) -> SampleQuality | None:
    """Evaluates samples of a learner's generator for the tasks so far; returns None without a generator.

    Raises:
        UserError: the samples or the classifier's outputs are NaN or infinite.
    """
    settings, samples = learner.sample_classifier, learner.samples(NUMBER)
    if settings is None or samples is None:
        return None
    return quality_of(samples, tasks, SampleClassifier(settings, learner.context, tasks))


class SampleClassifier:
    """A target network trained from scratch on the real training data of the tasks so far.

    In every scenario it distinguishes all classes of all tasks, so it predicts both the task that an input is from and
    whether the input looks like one of that task's classes. It has its own random streams and no state in checkpoints.

    Args:
        settings: settings of its training.
        context: the learner's context.
        tasks: the tasks so far.
    """

    def __init__(self, settings: SampleClassifierSettings, context: Context, tasks: Sequence[Task]) -> None:
        self._settings = settings
        counts = torch.tensor([task.num_classes for task in tasks], device=context.device)
        self._task_of_class = torch.arange(len(tasks), device=context.device).repeat_interleave(counts)
        self._first_class = counts.cumsum(0) - counts
        own = replace(context, seed=derive_seed(context.seed, Stream.SAMPLE_CLASSIFIER, len(tasks)))
        self.network = own.new_target(len(self._task_of_class))
        with seeded(own.seed, Stream.STEPS):  # for modules that draw from global generators, as dropout does
            self._train(tasks, own)

    def _train(self, tasks: Sequence[Task], context: Context) -> None:
        optimizer = without_compiler(torch.optim.Adam)(trainable(self.network).values(), lr=self._settings.lr)
        data, size = TasksTogether(tasks), min(BATCH, len(tasks[-1].train))
        rng = stream(context.seed, Stream.SAMPLE_CLASSIFIER_BATCHES, tasks[-1].id)
        self.network.train()
        for _ in range(self._settings.iterations):
            index = torch.randint(len(data), (size,), generator=rng)
            inputs, labels, owner = data.batch(index.to(context.device), rng)
            optimizer.zero_grad()
            cross_entropy(self.network(inputs), labels + self._first_class[owner]).backward()
            optimizer.step()

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Recognition:
        """Classifies inputs (b, *in_shape).

        Raises:
            UserError: the logits are NaN or infinite.
        """
        logits = self.network.eval()(inputs)
        if not logits.isfinite().all():
            real = "the classifier of real data"
            what = real if inputs.isfinite().all() else "the generator, whose samples are NaN or infinite,"
            raise UserError(
                f"training of {what} has diverged after task {int(self._task_of_class[-1]) + 1}; use a smaller "
                f"training.lr, {self._settings.key('lr')} or method weight"
            )
        probability, classes = logits.softmax(1).max(1)
        return Recognition(self._task_of_class[classes], probability > SURE)


def quality_of(samples: Samples, tasks: Sequence[Task], classifier: SampleClassifier) -> SampleQuality:
    """Evaluates samples for the tasks so far with a classifier of real data.

    A sample counts as recognised if the classifier is sure and assigns it to the task it was drawn for. If samples are
    not drawn for a task, they count for the task that the classifier assigns. Shares are relative to an equal part of
    all samples, so in that case they are 1 if every task gets its part, and more for some if others get less.

    Raises:
        UserError: the samples or the classifier's outputs are NaN or infinite.
    """
    found = classifier(samples.inputs)
    owner = found.tasks if samples.tasks is None else samples.tasks
    share = len(samples.inputs) / len(tasks)
    recognised = [((found.tasks == task.id) & (owner == task.id) & found.sure).sum().item() / share for task in tasks]
    real = []
    for task in tasks:
        known = classifier(task.test.batch(slice(0, REAL))[0])
        real.append(((known.tasks == task.id) & known.sure).float().mean().item())
    return SampleQuality(_pictures(samples.inputs, owner, tasks), recognised, sum(real) / len(real))


def _pictures(inputs: Tensor, owner: Tensor, tasks: Sequence[Task]) -> Tensor | None:
    """Returns pictures (T, SHOWN, C, H, W) of the first samples of each task, filled up with NaN.

    None if the inputs of a task are not images.
    """
    rows = []
    for task in tasks:
        if task.picture is None:
            return None
        images = task.picture(inputs[owner == task.id][:SHOWN]).cpu()
        row = images.new_full((SHOWN, *images.shape[1:]), torch.nan)
        row[: len(images)] = images
        rows.append(row)
    return torch.stack(rows)

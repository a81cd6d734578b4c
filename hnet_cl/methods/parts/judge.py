"""A judge of generated samples: a classifier of real data that says which task each belongs to, if it is sure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from pydantic import PositiveFloat
from torch import Tensor

from hnet_cl.benchmarks.base import Task
from hnet_cl.core import settings as base
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, derive_seed, seeded
from hnet_cl.methods.base import SampleReport, Samples, Setup
from hnet_cl.methods.joint import Joint
from hnet_cl.scenario import separate_heads

SURE = 0.5  # a class is recognised that is more probable than all others together
BATCH = 128  # examples per step of its training
SHOWN = 16  # samples per task for people to see
REAL = 500  # real test examples per task that are judged alike


class JudgeSettings(base.Settings):
    """Its training after each task: steps, and Adam's learning rate."""

    iterations: base.Count
    lr: PositiveFloat


class Verdict(NamedTuple):
    """Per input: the most probable class's task (b,), and whether its probability is above `SURE` (b,)."""

    tasks: Tensor
    sure: Tensor


class Judge:
    """A target network trained from scratch, jointly, on the real training data of the tasks so far.

    It tells every class of every task from all others, whatever the scenario, so it says both which task an input is
    from and whether it looks like one of that task's classes. It has random streams of its own and leaves no state.
    """

    def __init__(self, settings: JudgeSettings, setup: Setup, tasks: Sequence[Task]) -> None:
        counts = [task.num_classes for task in tasks]
        self._task_of_output = torch.arange(len(tasks)).repeat_interleave(torch.tensor(counts)).to(setup.device)
        own = replace(
            setup,
            heads=separate_heads(counts),
            seed=derive_seed(setup.seed, Stream.SAMPLE_CLASSIFIER, len(tasks)),
            make_optimizer=lambda parameters: torch.optim.Adam(parameters, lr=settings.lr),
        )
        self.learner = Joint(Joint.Settings(name="judge", reset_optimizer=False), own)
        self.learner.begin_task(tasks)
        batch = tasks[-1].train.batch(slice(0, BATCH))  # joint training draws its own and keeps to this one's size
        with seeded(own.seed, Stream.STEPS):  # what modules draw without asking, as dropout does
            for _ in range(settings.iterations):
                self.learner.step(*batch)

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Verdict:
        """The verdict on inputs (b, *in_shape).

        Raises:
            UserError: it rests on numbers that are NaN or infinite.
        """
        logits = self.learner.network.eval()(inputs)
        if not logits.isfinite().all():
            what = "the judge" if inputs.isfinite().all() else "the generator, whose samples are NaN or infinite,"
            raise UserError(
                f"training of {what} has diverged after task {len(self.learner.tasks)}; use a smaller training.lr, "
                "method.generator.judge.lr or method weight"
            )
        probability, output = logits.softmax(1).max(1)
        return Verdict(self._task_of_output[output], probability > SURE)


def report(samples: Samples, tasks: Sequence[Task], judge: Judge) -> SampleReport:
    """What a judge says of samples for the tasks so far, and some of them as pictures.

    A sample counts as recognised if the judge is sure and takes it for the task it was drawn for. Where samples are
    drawn for no task they count for the one it takes them for, and the share is of an equal part of all samples: 1
    if every task gets its part, more if others get less.
    """
    verdict = judge(samples.inputs)
    owner = verdict.tasks if samples.tasks is None else samples.tasks
    share = len(samples.inputs) / len(tasks)
    recognised = [
        ((verdict.tasks == task.id) & (owner == task.id) & verdict.sure).sum().item() / share for task in tasks
    ]
    real = []
    for task in tasks:
        found = judge(task.test.batch(slice(0, REAL))[0])
        real.append(((found.tasks == task.id) & found.sure).float().mean().item())
    return SampleReport(_pictures(samples.inputs, owner, tasks), recognised, sum(real) / len(real))


def _pictures(inputs: Tensor, owner: Tensor, tasks: Sequence[Task]) -> Tensor | None:
    """Pictures (T, SHOWN, C, H, W) of the first samples of each task, NaN where there are fewer; None if none are."""
    rows = []
    for task in tasks:
        if task.picture is None:
            return None
        images = task.picture(inputs[owner == task.id][:SHOWN]).cpu()
        row = images.new_full((SHOWN, *images.shape[1:]), torch.nan)
        row[: len(images)] = images
        rows.append(row)
    return torch.stack(rows)

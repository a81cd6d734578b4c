"""Runs that extend finished ones: a run of more tasks goes on from what one of fewer tasks has learned.

Nothing in the folder of the finished run is changed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hnet_cl import build
from hnet_cl.benchmarks.base import Benchmark, Split, Task
from hnet_cl.config.check import Plan, check
from hnet_cl.config.check_extension import extended
from hnet_cl.config.resolvers import run_name
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.methods.base import Learner
from hnet_cl.methods.parts.extension import go_on_from
from hnet_cl.records.run_folder import earlier_result
from hnet_cl.records.run_result import RunResult
from hnet_cl.records.run_state import Progress
from hnet_cl.training.checkpointing import Checkpoints, Restored, owner
from hnet_cl.training.trainer import Start

EXAMPLES = 200  # of a split, spread over it, whose inputs are compared, besides all labels
ANSWERED = 20  # test examples of each task, to which answers must stay the same


@dataclass(frozen=True)
class Former:
    """The finished run that another one extends.

    Attributes:
        config: its resolved configuration.
        folder: its run folder.
        result: its result.json.
    """

    config: Mapping[str, Any]
    folder: Path
    result: RunResult


def require_former(config: Mapping[str, Any]) -> None:
    """Checks that the finished run that `config` (resolved, checked) extends is there, if it extends one.

    Raises:
        UserError: it is not.
        OSError: its result.json cannot be read.
    """
    if extended(config):
        former_of(config)


def first_of(
    restored: Restored, plan: Plan, config: Mapping[str, Any], benchmark: Benchmark, learner: Learner
) -> tuple[Restored, Path | None]:
    """Lets the learner of a run that extends another one go on where that has ended, unless the run has states itself.

    Returns:
        where training starts, and the folder of the other run if it starts from that.

    Raises:
        UserError, OSError: as `former_of` and `go_on`.
    """
    if not plan.extends or restored.start.task:
        return restored, None
    former = former_of(config)
    return go_on(former, plan, benchmark, learner), former.folder


def origin(extended: Path | None) -> list[str]:
    """Returns a line on the run that another one goes on from, if there is one."""
    return [] if extended is None else [f"Goes on from the finished run in {extended}, which stays as it is."]


def former_of(config: Mapping[str, Any]) -> Former:
    """Finds the finished run that `config` (resolved, checked) extends: of fewer tasks, and all else the same.

    Raises:
        UserError: there is none, or it is not finished.
        OSError: its result.json cannot be read.
    """
    *before, tasks = extended(config)
    chain = None if not before else before[0] if len(before) == 1 else before
    asked = {**config, "extends": chain, "fresh": False, "benchmark": {**config["benchmark"], "num_tasks": tasks}}
    folder = Path(config["output_dir"], run_name(asked), config_id(asked), f"seed={config['seed']}")
    result = earlier_result(folder, asked)
    given = f"extends={shown(config['extends'])}"
    with_what = f"benchmark.num_tasks={tasks}" + ("" if chain is None else f" extends={shown(chain)}")
    if result is None:
        raise UserError(
            f"{given}: there is no run of {tasks} tasks with the same other settings, which would be in {folder}; run "
            f"it first, with {with_what}{' and without extends' if chain is None else ''}"
        )
    if result.status != "finished":
        raise UserError(
            f"{given}: the run of {tasks} tasks in {folder} is not finished (status {result.status}, "
            f"{result.tasks_done} tasks learned); finish it first, with {with_what}"
        )
    return Former(asked, folder, result)


def go_on(former: Former, plan: Plan, benchmark: Benchmark, learner: Learner) -> Restored:
    """Lets a new learner of more tasks go on where a finished run has ended; returns where training starts.

    Args:
        former: the finished run.
        plan: the checked configuration of the run that extends it.
        benchmark: its tasks.
        learner: its learner, in its initial state.

    Raises:
        UserError: the tasks are others, the checkpoint is not usable, or the method cannot go on with more tasks.
        OSError: the data cannot be read.
    """
    done, tasks = plan.extends[-1], benchmark.tasks
    given = f"extends={done}"
    if len(tasks) <= done:
        raise UserError(f"{given}: the benchmark has {len(tasks)} tasks, so there is none to add")
    own = check(former.config)
    before = build.build_benchmark(own, Path(former.config["data_dir"]), learner.context.device)
    _require_same_tasks(before, benchmark, former, given)
    counts = [task.num_classes for task in before.tasks]
    trained = build.build_learner(own, tuple(before.in_shape), counts, learner.context.device)
    restored = Checkpoints(former.folder, owner(config_id(former.config), former.result["data"])).restore(trained)
    if restored.start.task != done:
        raise UserError(f"{given}: the checkpoint of the finished run in {former.folder} is missing or damaged")
    at = f"{given} with method={plan.method.name} and scenario={plan.scenario.name}"
    go_on_learning(trained, learner, tasks[:done], at)
    return Restored(Start(done), asdict(_widened(Progress(**restored.progress), len(tasks))), [])


def go_on_learning(former: Learner, learner: Learner, tasks: Sequence[Task], at: str) -> None:
    """Lets a new learner go on where `former` has ended, which has learned `tasks`, the first of its own.

    Raises:
        UserError: it cannot; the message begins with `at`.
    """
    try:
        go_on_from(learner, former)
    except UserError as error:
        raise UserError(f"{at}: it cannot be extended, as {error}") from error
    _require_same_answers(former, learner, tasks, at)
    learner.tasks = tasks
    with seeded(learner.context.seed, Stream.END_OF_TASK, tasks[-1].id):
        learner.keep_for_later()


def _require_same_tasks(before: Benchmark, now: Benchmark, former: Former, given: str) -> None:
    """Compares the tasks of a finished run with the first ones of the run that extends it.

    Raises:
        UserError: they differ, or the data have changed since the run was finished.
    """
    old, present = former.result.data, before.data
    if (old.name, old.checksum) != (present.name, present.checksum):
        raise UserError(
            f"{given}: the run in {former.folder} was trained on other data ({old.name} {old.checksum}) than there are "
            f"now ({present.name} {present.checksum})"
        )
    for number, (one, other) in enumerate(zip(before.tasks, now.tasks, strict=False), start=1):
        if _marks(one) != _marks(other):
            raise UserError(
                f"{given}: of {len(now.tasks)} tasks, task {number} ({other.name}) is another one than of "
                f"{len(before.tasks)} ({one.name}); where the first tasks depend on the number of tasks, a run cannot "
                "be extended"
            )


def _marks(task: Task) -> str:
    """Returns a hash of a task's classes, labels and some inputs, by which another task is told from it."""
    digest = hashlib.sha256(repr((task.name, task.classes, task.kind)).encode())
    for split in (task.train, task.test):
        digest.update(split.labels.cpu().numpy().tobytes())
        digest.update(_some_inputs(split).cpu().numpy().tobytes())
    return digest.hexdigest()


def _some_inputs(split: Split) -> torch.Tensor:
    number = min(len(split), EXAMPLES)
    return split.batch(torch.arange(number, device=split.labels.device) * len(split) // number)[0]


@torch.no_grad()
def _require_same_answers(former: Learner, learner: Learner, tasks: Sequence[Task], at: str) -> None:
    """Checks that a learner answers as `former`, from which it goes on, before it learns anything.

    Raises:
        UserError: it does not, as where a network with more outputs does not have the first ones as they were.
    """
    for task in tasks:
        inputs, _ = task.test.batch(slice(0, ANSWERED))
        given = task.id if learner.heads.task_known else None
        with seeded(learner.context.seed, Stream.INSPECTION):
            one = former.predict(inputs, given)
        with seeded(learner.context.seed, Stream.INSPECTION):
            other = learner.predict(inputs, given)
        known = one.logits is not None and other.logits is not None
        old, new = (one.logits, other.logits) if known else (one.output, other.output)
        assert old is not None and new is not None
        if old.shape != new.shape or not torch.allclose(old.float(), new.float(), rtol=1e-3, atol=1e-4):
            raise UserError(
                f"{at}: it cannot be extended, as with more outputs its answers for {task.name} would be others than "
                "in the finished run; where all tasks share their outputs, as with scenario=cl2, it may be"
            )


def _widened(progress: Progress, tasks: int) -> Progress:
    """Returns the progress of a run among more tasks, on which nothing has been evaluated."""

    def padded(row: Sequence[Any], absent: Any) -> list[Any]:
        return [*row, *[absent] * (tasks - len(row))]

    inferred = progress.inferred
    if inferred is not None:
        empty = [[0] * tasks for _ in range(tasks - len(inferred))]
        inferred = [*(padded(row, 0) for row in inferred), *empty]
    rows, certified = ([padded(row, None) for row in part] for part in (progress.matrix, progress.certified))
    return replace(progress, matrix=rows, certified=certified, inferred=inferred)

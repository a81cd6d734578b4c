"""A finished run that can be asked: its learner from its folder alone, without the data it learned from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hnet_cl.benchmarks.base import ImageKind, shuffled_order
from hnet_cl.build import build_dataset, build_device, build_learner
from hnet_cl.config.check import Plan, check
from hnet_cl.config.resolvers import read_config
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import UntrustedError, UserError, first_line
from hnet_cl.core.plain_text import printable
from hnet_cl.methods.base import Learner
from hnet_cl.records.run_folder import RESULT, read_result
from hnet_cl.records.run_result import RunResult
from hnet_cl.training.checkpointing import Checkpoints, owner

CONFIG = Path(".hydra", "config.yaml")
AGAIN = "run its command again with fresh=true"


@dataclass(frozen=True)
class Trained:
    """A learner after all its tasks; `in_shape` is that of one input, `classes` (T, C) are the classes' names."""

    plan: Plan
    learner: Learner
    device: torch.device
    in_shape: tuple[int, ...]
    classes: Sequence[Sequence[str]]

    def image_kinds(self, task: int | None) -> Sequence[ImageKind]:
        """Images that become inputs, for a told `task` or none."""
        if task is not None and self.plan.training.shuffle_tasks:
            task = shuffled_order(len(self.classes), self.plan.seed)[task]
        dataset = build_dataset(self.plan, Path())  # nothing of it is read
        return self.plan.benchmark_class.image_kinds(self.plan.benchmark, dataset, task)

    def told(self, number: int | None) -> int | None:
        """The task, from 0, that the learner is told, if the user gives `number`, from 1, or none.

        Raises:
            UserError: there is no such task; it must be given; or it would not be looked at.
        """
        count, scenario = len(self.classes), self.plan.scenario.name
        if number is None:
            if self.learner.heads.task_known:
                raise UserError(f"task: is missing; scenario={scenario} tells the task, so give one of 1 to {count}")
            return None
        if not 1 <= number <= count:
            raise UserError(f"task={number}: this run has learned tasks 1 to {count}")
        if not self.learner.asks_task and not any(kind.of_task for kind in self.image_kinds(number - 1)):
            raise UserError(
                f"task={number}: method={self.plan.method.name} with scenario={scenario} gives the same answers "
                "whatever the task; leave it out"
            )
        return number - 1

    def meaning(self, output: int, task: int | None) -> tuple[str, str]:
        """The class that an output stands for, and the task from 1: the one told or inferred, or that of the output.

        Where several tasks share the output, the class is that of all of them, with slashes between, and the task "".
        """
        heads = self.learner.heads
        tasks = heads.tasks_of(output) if task is None else [task]
        names = dict.fromkeys(self.classes[task][output - heads.own(task).start] for task in tasks)
        return "/".join(names), str(tasks[0] + 1) if len(tasks) == 1 else ""


def load(run: Path, device: str, trusted: Collection[str] = ()) -> Trained:
    """The learner of a finished run, by its folder or its result.json, on the device `cpu` or `cuda`.

    The folder may be a stranger's: no code runs but that of hnet_cl and of the packages `trusted` (see `check`).

    Raises:
        UntrustedError: its classes lie elsewhere.
        UserError: it is no run folder, or not of a finished run, or its files do not belong together or are damaged.
    """
    folder = run.parent if run.name == RESULT else run
    result = _result(folder)
    config = read_config(folder / CONFIG)
    try:
        _plan(config, "cpu", trusted)
    except UntrustedError as error:
        raise UntrustedError(f"{folder / CONFIG}: {error}") from error
    except UserError as error:
        lines = [f"{folder / CONFIG}: {line}; or {AGAIN}" for line in str(error).splitlines()]
        raise UserError("\n".join(lines)) from error
    plan = _plan(config, device, trusted)
    where, in_shape = build_device(plan.device), tuple(result.in_shape)
    try:
        learner = build_learner(plan, in_shape, [len(task.classes) for task in result.tasks], where)
    except (UserError, RuntimeError, MemoryError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        reason = first_line(error).partition("; debug=true")[0]
        raise UserError(f"{folder}: its learner cannot be built ({reason}); {AGAIN}") from error
    restored = Checkpoints(folder, owner(config_id(config), result["data"])).restore(learner)
    learned, named = restored.start.task, len(result.tasks)
    if learned > named:
        raise UserError(f"{folder / RESULT}: names {named} tasks, but the checkpoint is of {learned}; {AGAIN}")
    if learned < named:
        raise UserError(f"{folder}: the checkpoint of the finished run is missing or damaged; {AGAIN}")
    return Trained(plan, learner, where, in_shape, [task.classes for task in result.tasks])


def _plan(config: Mapping[str, Any], device: str, trusted: Collection[str]) -> Plan:
    """The configuration on another device, with as many threads as there are here; nobody logs, so no logger counts."""
    config = {key: value for key, value in config.items() if key != "logger"}
    own = config.get("device")
    settings = {**own, "type": device, "threads": None, "graph": False} if isinstance(own, Mapping) else own
    return check({**config, "device": settings}, trusted)


def _result(folder: Path) -> RunResult:
    """The result.json of a finished run, which says what the learner learned and on which inputs."""
    old = f"as an older version wrote it; {AGAIN}"
    try:
        result = read_result(folder)
        if result is not None:
            result.require_short()
    except ValueError as error:
        raise UserError(f"{folder / RESULT}: is missing something or wrong ({error}), {old}") from error
    if result is None:
        raise UserError(
            f"run={folder}: is no run folder, as it holds no {RESULT}; give a folder like "
            "outputs/smnist-cl1-hnet/1a2b3c4d/seed=1, which a run prints at its end"
        )
    if result.status != "finished":
        raise UserError(
            f"run={folder}: this run is not finished (status {result.status}, {result.tasks_done} of "
            f"{result.num_tasks} tasks learned); finish it with: {printable(result.command[:1000])}"
        )
    if not (result.tasks and result.in_shape):
        raise UserError(f"{folder / RESULT}: {'in_shape' if result.tasks else 'tasks'} is missing or wrong, {old}")
    return result

"""The trained learner of a finished run, loaded from its folder alone, without the training data."""

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
from hnet_cl.core.protocol import deciding_alone
from hnet_cl.methods.base import Learner
from hnet_cl.records.run_folder import RESULT, read_result
from hnet_cl.records.run_result import Data, RunResult, TooNewError
from hnet_cl.training.checkpointing import Checkpoints, owner

CONFIG = Path(".hydra", "config.yaml")
AGAIN = "run its command again with fresh=true"


@dataclass(frozen=True)
class Trained:
    """A learner after all its tasks.

    Attributes:
        plan: the run's checked configuration, for the device in use.
        learner: the restored learner.
        device: where it is.
        in_shape: shape of one input.
        classes: names of the classes of each task.
        data: the data that the run learned from.
        data_dir: where their files were.
    """

    plan: Plan
    learner: Learner
    device: torch.device
    in_shape: tuple[int, ...]
    classes: Sequence[Sequence[str]]
    data: Data
    data_dir: Path

    def image_kinds(self, task: int | None) -> Sequence[ImageKind]:
        """Returns the kinds of images that can be used as inputs for `task`, from 0; None if it is not given."""
        if task is not None and self.plan.training.shuffle_tasks:
            task = shuffled_order(len(self.classes), self.plan.seed)[task]
        dataset = build_dataset(self.plan, Path())  # its files are not read
        return self.plan.benchmark_class.image_kinds(self.plan.benchmark, dataset, task)

    def task_index(self, number: int | None) -> int | None:
        """Converts the task `number` that the user gives, from 1, to the learner's task, from 0; None stays None.

        Raises:
            UserError: there is no such task, it is required but missing, or it would make no difference; or the run
                does not classify.
        """
        self.require_classes()
        count, scenario = len(self.classes), self.plan.scenario.name
        if number is None:
            if self.learner.heads.task_known:
                raise UserError(f"task: is missing; scenario={scenario} needs the task, so give one of 1 to {count}")
            return None
        index = self.learned(number)
        if not self.learner.asks_task and not any(kind.of_task for kind in self.image_kinds(index)):
            raise UserError(
                f"task={number}: method={self.plan.method.name} with scenario={scenario} gives the same answers "
                "for every task; leave it out"
            )
        return index

    def require_classes(self) -> None:
        """Checks that the run classifies.

        Raises:
            UserError: it is regression.
        """
        if self.learner.objective.score.kind == "regression":
            raise UserError(
                f"benchmark={self.plan.benchmark.name}: is regression, so there are no classes to answer with; "
                "hnet_cl.load(FOLDER).network(task) is the network of a task"
            )

    def learned(self, number: int) -> int:
        """Converts the number of a learned task, from 1, to the learner's task, from 0.

        Raises:
            UserError: there is no such task.
        """
        if not 1 <= number <= len(self.classes):
            raise UserError(f"task={number}: this run has learned tasks 1 to {len(self.classes)}")
        return number - 1

    def meaning(self, output: int, task: int | None) -> tuple[str, str]:
        """Returns the name of the class that an output stands for, and the number of its task, from 1.

        `task` is the given or inferred task, from 0. If it is None and several tasks share the output, the names of
        all of their classes are joined with slashes, and the task is "".
        """
        heads = self.learner.heads
        tasks = heads.tasks_of(output) if task is None else [task]
        names = dict.fromkeys(self.classes[task][output - heads.own(task).start] for task in tasks)
        return "/".join(names), str(tasks[0] + 1) if len(tasks) == 1 else ""


def load(run: Path, device: str, trusted: Collection[str] = (), alone: bool = True) -> Trained:
    """Loads the learner of a finished run.

    The folder may come from a stranger: only code of hnet_cl and of the packages `trusted` runs (see `check`).

    Args:
        run: the run folder, or the result.json in it.
        device: "cpu" or "cuda".
        trusted: packages or modules whose classes the run may use besides those of hnet_cl.
        alone: whether each input decides alone on its task, although the run let several decide: nothing says that
            inputs from elsewhere are from one task.

    Raises:
        UntrustedError: it uses classes of other packages.
        UserError: it is no run folder, the run is not finished, or its files are damaged or do not belong together.
        OSError: its result.json cannot be read.
    """
    folder = run.parent if run.name == RESULT else run
    result = _result(folder)
    config = read_config(folder / CONFIG)
    given = deciding_alone(config) if alone else config
    try:
        _plan(given, "cpu", trusted)
    except UntrustedError as error:
        raise UntrustedError(f"{folder / CONFIG}: {error}") from error
    except UserError as error:
        lines = [f"{folder / CONFIG}: {line}; or {AGAIN}" for line in str(error).splitlines()]
        raise UserError("\n".join(lines)) from error
    plan = _plan(given, device, trusted)
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
    classes, data_dir = [task.classes for task in result.tasks], Path(config["data_dir"])
    return Trained(plan, learner, where, in_shape, classes, result.data, data_dir)


def _plan(config: Mapping[str, Any], device: str, trusted: Collection[str]) -> Plan:
    """Checks the configuration for another device, with torch's number of threads, no CUDA graph and no loggers.

    The file of the first weights is not asked for: all that the learner knows is in its checkpoint.
    """
    config = {key: value for key, value in config.items() if key != "logger"}
    own = config.get("device")
    settings = {**own, "type": device, "threads": None, "graph": False} if isinstance(own, Mapping) else own
    training = config.get("training")
    if isinstance(training, Mapping):
        training = {**training, "initial_weights": None}
    return check({**config, "device": settings, "training": training}, trusted)


def _result(folder: Path) -> RunResult:
    """Reads the result.json of a finished run, which names its tasks, their classes and the shape of inputs.

    Raises:
        UserError: there is none, it is invalid or of an older version, or the run is not finished.
    """
    try:
        result = read_result(folder)
        if result is not None:
            result.require_short()
    except TooNewError as error:
        raise UserError(f"{folder / RESULT} {error}") from error
    except ValueError as error:
        raise UserError(f"{folder / RESULT} {error}; give another run folder, or {AGAIN}") from error
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
        key = "in_shape" if result.tasks else "tasks"
        raise UserError(f"{folder / RESULT}: {key} is missing, as in results of early versions; {AGAIN}")
    return result

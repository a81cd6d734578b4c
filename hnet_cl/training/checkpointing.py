"""Checkpoints of a run: files whose names contain their place in the run and a digest of their content.

`after-3-tasks.<digest>.pt` holds the learner between two tasks; `in-task-4-iteration-1200.<digest>.pt` holds the fourth
task in progress. Continuing the latter also needs the former, because what a task derives from the state at its start
is derived again. The digest is the beginning of the file's SHA-256, so that a truncated or changed file does not
match its name. The files are written by `torch.save` and read with `weights_only=True`.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Self

import torch

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.capacity import memory_limit
from hnet_cl.core.errors import OccupiedError, UserError, first_line
from hnet_cl.core.regular_files import read_regular
from hnet_cl.core.tensor_files import ContentError, load_plain
from hnet_cl.methods.base import Learner
from hnet_cl.training.task_state import WRONG
from hnet_cl.training.trainer import Start

FOLDER = "checkpoint"
KEPT = 2  # files of each kind: the newest, and an older one in case the newest cannot be read
REMEDY = "give fresh=true to start it from scratch"
DIGITS = 16  # of the digest
RENAMED = ("task_classifier", "task_inference.classifier")  # the former and the present name of a module


class _UnusableError(Exception):
    """An error whose message says why a checkpoint cannot be used."""


@dataclass(frozen=True, order=True)
class _File:
    """The name of a checkpoint; instances are ordered by their place in the run.

    Attributes:
        tasks: number of tasks that are completed.
        iteration: iterations done of the next task; 0 between tasks.
        digest: of the content.
    """

    tasks: int
    iteration: int
    digest: str = field(compare=False)

    @property
    def name(self) -> str:
        place = (
            f"in-task-{self.tasks + 1}-iteration-{self.iteration}" if self.iteration else f"after-{self.tasks}-tasks"
        )
        return f"{place}.{self.digest}.pt"

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Parses a file name; returns None if it is not the name of a checkpoint."""
        if found := re.fullmatch(r"after-(\d+)-tasks\.(\w+)\.pt", name):
            return cls(int(found[1]), 0, found[2])
        if found := re.fullmatch(r"in-task-(\d+)-iteration-(\d+)\.(\w+)\.pt", name):
            return cls(int(found[1]) - 1, int(found[2]), found[3])
        return None


@dataclass(frozen=True)
class Restored:
    """The state that a run continues from.

    Attributes:
        start: where training starts.
        progress: the run's own progress, as it was saved.
        problems: a line for each newer file that cannot be used.
    """

    start: Start
    progress: Mapping[str, Any]
    problems: list[str]


def owner(config_id: str, data: Mapping[str, str]) -> str:
    """Returns a text that identifies the configuration and the data (`name` and `checksum`) of a run's checkpoints."""
    return f"{config_id} on {data['name']} {data['checksum']}"


def _check_layout(kept: Any, present: Any) -> None:
    """Raises an `_UnusableError` if a state's names and shapes, or their order, differ from those `present` now."""
    for old, new in zip_longest(map(tuple, kept), present):
        if old != new:
            was, now = ("nothing" if part is None else f"{part[0]} {tuple(part[1])}" for part in (old, new))
            raise _UnusableError(
                f"the classes of network or method have changed: where it has {was}, there is {now} now"
            )


def _rename(state: dict[str, Any], learner: Learner) -> None:
    """Renames modules in a state that an earlier version wrote to their present names, in place."""
    present = {*learner.state_dict(), *(name for name, _ in learner.layout)}

    def name(old: str) -> str:
        was, now = RENAMED
        new = re.sub(rf"^{was}\b", now, old)
        return new if new in present else old

    values = state["learner"]
    for old in [*values]:
        values[name(old)] = values.pop(old)
    if "layout" in state:
        state["layout"] = [(name(part), shape) for part, shape in state["layout"]]


def _counted(processes: int | None) -> str:
    return "one process" if processes == 1 else f"{processes} processes"


class Checkpoints:
    """The checkpoints of one run.

    Args:
        run_folder: the folder of the run; checkpoints are in its subfolder `checkpoint`, made when needed.
        owner: the configuration and data that the states belong to, as returned by the function `owner`.
        processes: number of processes that continue the run, which is that of those that began it; None for reading
            alone.
        writes: whether this process writes them; one that does not writes and removes nothing.
    """

    def __init__(self, run_folder: Path, owner: str, processes: int | None = None, writes: bool = True) -> None:
        self.folder = run_folder / FOLDER
        self._owner = owner
        self._processes = processes
        self._writes = writes
        self._base = ""  # digest of the checkpoint before the present task; empty for the first task

    def after_task(self, tasks: int, learner: Learner, progress: Mapping[str, Any]) -> None:
        """Writes the learner after its first `tasks` tasks, with the run's progress.

        Raises:
            OSError: the file cannot be written, e.g. the disk is full; earlier checkpoints are unchanged.
        """
        state = {"learner": learner.state_dict(), "layout": learner.layout, "progress": progress}
        self._base = self._write(tasks, 0, state)

    def in_task(self, tasks: int, iteration: int, state: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
        """Writes the `state` of the task in progress, after `tasks` completed tasks and `iteration` iterations of it.

        Raises:
            OSError: as in `after_task`.
        """
        self._write(tasks, iteration, {"base": self._base, "task": state, "progress": progress})

    def restore(self, learner: Learner) -> Restored:
        """Restores the learner from the newest usable checkpoint; without checkpoints it stays as it is.

        From a checkpoint in the middle of a task the learner gets the state before that task; the state of the task
        itself is in `Restored.start`.

        Raises:
            UserError: there are checkpoints, but none of them can be used.
            OccupiedError: another number of processes made them.
        """
        problems: list[str] = []
        files = self._files()
        for file in files:
            try:
                restored = self._load(file, files, learner)
            except (_UnusableError, MemoryError, *WRONG) as error:
                reason = first_line(error)
                problems.append(f"{self.folder / file.name}: checkpoint cannot be used ({reason})")
            else:
                return Restored(*restored, problems)
        if problems:
            raise UserError(f"{problems[0]}; {REMEDY}")
        return Restored(Start(), {}, problems)

    def clear(self) -> None:
        """Removes all checkpoints, and no other file in the folder."""
        for file in self._files():
            (self.folder / file.name).unlink()

    def keep_last(self) -> None:
        """Removes all but the newest checkpoint, once the run is finished."""
        for file in self._files()[1:]:
            (self.folder / file.name).unlink()

    def _files(self) -> list[_File]:
        """Returns the checkpoints in the folder, newest first."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted((file for name in names if (file := _File.parse(name))), reverse=True)

    def _write(self, tasks: int, iteration: int, state: Mapping[str, Any]) -> str:
        if not self._writes:
            return ""
        if self._processes not in (None, 1):
            state = {**state, "processes": self._processes}
        content = io.BytesIO()  # first into memory, because torch.save hides why it could not write a file
        torch.save({"owner": self._owner, "place": [tasks, iteration], **state}, content)
        digest = hashlib.sha256(content.getbuffer()).hexdigest()[:DIGITS]
        written = _File(tasks, iteration, digest)
        self.folder.mkdir(exist_ok=True)
        write_atomically(self.folder / written.name, content.getvalue())
        for old in self._outdated(written):
            (self.folder / old.name).unlink()
        return digest

    def _outdated(self, newest: _File) -> list[_File]:
        """Returns the checkpoints that are no longer needed: all after `newest`, and all but a few before it."""
        files = [file for file in self._files() if file.digest != newest.digest]
        before = [file for file in files if file < newest]
        between = [file for file in before if not file.iteration]
        within = [file for file in before if file.iteration and file.tasks == newest.tasks]
        kept = [*between[:KEPT], *within[: KEPT - 1]] if newest.iteration else between[: KEPT - 1]
        return [file for file in files if file not in kept]

    def _load(self, file: _File, files: list[_File], learner: Learner) -> tuple[Start, Mapping[str, Any]]:
        state = self._read(file)
        before, base = state, file.digest
        if file.iteration:
            base = state["base"]
            found = next((other for other in files if other.digest == base), None)
            if base and not found:
                raise _UnusableError(f"the state before task {file.tasks + 1} that it builds on is missing")
            before = self._read(found) if found else {}
        for part in (before, state.get("task")):
            if isinstance(part, dict) and "learner" in part:
                _rename(part, learner)
            if isinstance(part, dict) and "layout" in part:  # older versions did not save it
                _check_layout(part["layout"], learner.layout)
        if "learner" in before:
            learner.load_state_dict(before["learner"])
        self._base = base
        return Start(file.tasks, file.iteration, state.get("task")), dict(state["progress"])

    def _read(self, file: _File) -> dict[str, Any]:
        try:
            content = read_regular(self.folder / file.name, memory_limit())
            if hashlib.sha256(content).hexdigest()[:DIGITS] != file.digest:
                raise _UnusableError("its content does not match the digest in its name: cut short or changed")
            state = load_plain(io.BytesIO(content))
        except OSError as error:
            raise _UnusableError(error.strerror or str(error)) from error
        except ContentError as error:
            raise _UnusableError(f"it {error}") from error
        if not isinstance(state, dict) or "owner" not in state:
            raise _UnusableError("it is not of hnet_cl")
        if state["owner"] != self._owner:
            raise _UnusableError(f"it is of configuration {state['owner']}, not {self._owner}")
        processes = state.get("processes", 1)
        if self._processes not in (None, processes):
            before = "without torchrun" if processes == 1 else f"with torchrun --nproc-per-node={processes} -m hnet_cl"
            raise OccupiedError(
                f"{self.folder / file.name}: was saved by a run of {_counted(processes)}, and this one is of "
                f"{_counted(self._processes)}; continue it {before}, or {REMEDY}"
            )
        if state.get("place") != [file.tasks, file.iteration]:
            raise _UnusableError(f"it was made at another place of the run: {state.get('place')}")
        return state

"""Checkpoints of a run: files whose names tell where in the run they belong and what they must contain.

`after-3-tasks.<digest>.pt` holds the learner between two tasks; `in-task-4-iteration-1200.<digest>.pt` the fourth
task in progress, which continues only together with the former: what a task derives from its start is derived again.
The digest is the SHA-256 of the file, so that a file cut short or changed is known from its name alone. They are
ordinary files of `torch.save`, read with `weights_only=True`.
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
from hnet_cl.core.errors import UserError, first_line
from hnet_cl.core.regular_files import read_regular
from hnet_cl.core.tensor_files import ContentError, load_plain
from hnet_cl.methods.base import Learner
from hnet_cl.training.trainer import Start

FOLDER = "checkpoint"
KEPT = 2  # files of each kind: the newest, and an older one in case that it cannot be read
REMEDY = "give fresh=true to start this run anew"
DIGITS = 16  # of the digest
RENAMED = ("task_classifier", "task_inference.classifier")  # a module, once and now


class _UnusableError(Exception):
    """Why a checkpoint cannot be used."""


@dataclass(frozen=True, order=True)
class _File:
    """A checkpoint by its name. The order is that of the run."""

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
        """The file of that name; None if the name is of another kind."""
        if found := re.fullmatch(r"after-(\d+)-tasks\.(\w+)\.pt", name):
            return cls(int(found[1]), 0, found[2])
        if found := re.fullmatch(r"in-task-(\d+)-iteration-(\d+)\.(\w+)\.pt", name):
            return cls(int(found[1]) - 1, int(found[2]), found[3])
        return None


@dataclass(frozen=True)
class Restored:
    """What a run goes on from: where training sets in, the run's own progress, and what was wrong with newer files."""

    start: Start
    progress: Mapping[str, Any]
    problems: list[str]


def owner(config_id: str, data: Mapping[str, str]) -> str:
    """Configuration and data, by their `name` and `checksum`, that the states of a run belong to."""
    return f"{config_id} on {data['name']} {data['checksum']}"


def _check_layout(kept: Any, present: Any) -> None:
    """Refuses a state that was cut into other names and shapes, or in another order, than it would be now."""
    for old, new in zip_longest(map(tuple, kept), present):
        if old != new:
            was, now = ("nothing" if part is None else f"{part[0]} {tuple(part[1])}" for part in (old, new))
            raise _UnusableError(
                f"the classes of network or method have changed: where it has {was}, there is {now} now"
            )


def _rename(state: dict[str, Any], learner: Learner) -> None:
    """Gives a learner's state that an earlier version wrote the names that its modules have now."""
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


class Checkpoints:
    """The checkpoints of one run.

    Args:
        run_folder: they lie in a folder `checkpoint` there, made when needed.
        owner: what the states belong to, as the function `owner` says it.
    """

    def __init__(self, run_folder: Path, owner: str) -> None:
        self.folder = run_folder / FOLDER
        self._owner = owner
        self._base = ""  # digest of the learner's state before the present task; none for the first task

    def after_task(self, tasks: int, learner: Learner, progress: Mapping[str, Any]) -> None:
        """Writes the learner after its first `tasks` tasks, with the run's progress.

        Raises:
            OSError: the disk is full, say; earlier checkpoints are as they were.
        """
        state = {"learner": learner.state_dict(), "layout": learner.layout, "progress": progress}
        self._base = self._write(tasks, 0, state)

    def in_task(self, tasks: int, iteration: int, state: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
        """Writes the `state` of the task after the first `tasks` ones, `iteration` iterations of it being done.

        Raises:
            OSError: as in `after_task`.
        """
        self._write(tasks, iteration, {"base": self._base, "task": state, "progress": progress})

    def restore(self, learner: Learner) -> Restored:
        """Puts the learner back to where the newest readable checkpoint was made; without any it stays as it is.

        Raises:
            UserError: there are checkpoints, but none of them can be used.
        """
        problems: list[str] = []
        files = self._files()
        for file in files:
            try:
                restored = self._load(file, files, learner)
            except (_UnusableError, RuntimeError, LookupError, TypeError, ValueError, MemoryError) as error:
                reason = first_line(error)
                problems.append(f"{self.folder / file.name}: checkpoint cannot be used ({reason})")
            else:
                return Restored(*restored, problems)
        if problems:
            raise UserError(f"{problems[0]}; {REMEDY}")
        return Restored(Start(), {}, problems)

    def clear(self) -> None:
        """Removes all of them, and nothing else that lies there."""
        for file in self._files():
            (self.folder / file.name).unlink()

    def keep_last(self) -> None:
        """Removes all but the newest one: the run is finished."""
        for file in self._files()[1:]:
            (self.folder / file.name).unlink()

    def _files(self) -> list[_File]:
        """What lies in the folder, newest first."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted((file for name in names if (file := _File.parse(name))), reverse=True)

    def _write(self, tasks: int, iteration: int, state: Mapping[str, Any]) -> str:
        content = io.BytesIO()  # first into memory: torch.save hides why it could not write a file
        torch.save({"owner": self._owner, "place": [tasks, iteration], **state}, content)
        digest = hashlib.sha256(content.getbuffer()).hexdigest()[:DIGITS]
        written = _File(tasks, iteration, digest)
        self.folder.mkdir(exist_ok=True)
        write_atomically(self.folder / written.name, content.getvalue())
        for old in self._outdated(written):
            (self.folder / old.name).unlink()
        return digest

    def _outdated(self, newest: _File) -> list[_File]:
        """What nobody would go back to: all after `newest`, and before it all but a few of each kind."""
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
            if isinstance(part, dict) and "layout" in part:  # older versions have not kept it
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
        if state.get("place") != [file.tasks, file.iteration]:
            raise _UnusableError(f"it was made at another place of the run: {state.get('place')}")
        return state

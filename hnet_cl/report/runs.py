"""Reading run folders."""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hnet_cl.core.config_hash import NOT_COMPUTED, is_below, without
from hnet_cl.core.errors import UserError
from hnet_cl.core.former_data import in_todays_shape
from hnet_cl.core.regular_files import JSON_LIMIT, YAML_LIMIT, parse_yaml, read_regular
from hnet_cl.report.folders import run_folders
from hnet_cl.report.result import Result, flatten, parse
from hnet_cl.results import metrics
from hnet_cl.results.run_folder import RESULT, SETUP


@dataclass(frozen=True)
class Run:
    """One readable run.

    Attributes:
        folder: where it lies, as the user would type it.
        result: its checked result.json.
        facts: everything in its result.json, with dotted keys.
        scratch: the run from scratch that `transfer` compares with (see `hnet_cl.report.transfer`).
    """

    folder: Path
    result: Result
    facts: dict[str, Any] = field(repr=False)
    scratch: Result | None = field(default=None, repr=False)

    @cached_property
    def typed(self) -> dict[str, str]:
        """Overrides as typed, by key; only those that say what is computed."""
        pairs = (override.partition("=") for override in self.result.overrides)
        keyed = {key.lstrip("+~"): one_line(f"{key}{equals}{value}") for key, equals, value in pairs}
        return {key: override for key, override in keyed.items() if not is_below(key, NOT_COMPUTED)}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The configuration with dotted keys, without what is not computed with; empty if it cannot be read."""
        try:
            config = parse_yaml(read_regular(self.folder / SETUP / "config.yaml", YAML_LIMIT))
        except (OSError, ValueError):
            return {}
        if not isinstance(config, dict):
            return {}
        return flatten(without(in_todays_shape(config), NOT_COMPUTED))

    @cached_property
    def metrics(self) -> dict[str, float]:
        """All numbers of the run that can be averaged, by name; metrics are fractions.

        Whatever follows from the accuracy matrix is computed anew, so that runs of all versions share the formulas.
        """
        facts = {key: value for key, value in self.facts.items() if not key.startswith("metrics.")}
        numbers = facts | self.result.metrics
        with contextlib.suppress(ValueError):  # an unfinished run may have outputs that were not numbers
            numbers |= self._computed()
        return {name: value for name, value in numbers.items() if _is_number(value)}

    def _computed(self) -> dict[str, float | None]:
        matrix, inferred = self.result.accuracy_matrix, self.result.inferred_tasks
        return {
            "acc": metrics.acc(matrix),
            "during": metrics.during(matrix),
            "bwt": metrics.bwt(matrix),
            "forgetting": metrics.forgetting(matrix),
            "transfer": metrics.transfer(matrix, self.scratch.accuracy_matrix) if self.scratch else None,
            "task_inference": metrics.task_inference(inferred) if inferred else None,
        }

    def value(self, key: str) -> str | None:
        """What the run has under a key of result.json, or else of its configuration, as text; None if nothing."""
        if key in self.facts:
            return shown(self.facts[key])
        if key in self.settings:
            return shown(self.settings[key])
        return self.typed[key].partition("=")[2] if key in self.typed else None


@dataclass(frozen=True)
class Unreadable:
    """A run folder that says nothing, and why."""

    folder: Path
    reason: str


def shown(value: Any) -> str:
    """A value as it is typed in an override."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(shown(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else one_line(str(value))


def one_line(text: str) -> str:
    """The text without line breaks and without what a terminal would take as a command."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))


def read_runs(roots: Sequence[Path]) -> tuple[list[Run], list[Unreadable]]:
    """All runs below some folders, each once.

    Raises:
        UserError: a folder is not there, or none holds a run.
    """
    for root in roots:
        if not root.is_dir():
            raise UserError(f"{root}: {'not a folder' if root.exists() else 'no such folder'}")
    runs: list[Run] = []
    unreadable: list[Unreadable] = []

    def note(error: OSError) -> None:
        unreadable.append(Unreadable(Path(error.filename), str(error.strerror)))

    for folder in run_folders(roots, note):
        try:
            runs.append(Run(folder, *parse(read_regular(folder / RESULT, JSON_LIMIT))))
        except FileNotFoundError:
            unreadable.append(Unreadable(folder, f"no {RESULT}: it failed before training, or is about to begin"))
        except OSError as error:
            unreadable.append(Unreadable(folder, f"{RESULT}: {error.strerror}"))
        except ValueError as error:
            unreadable.append(Unreadable(folder, f"{RESULT}: {error}"))
    if not runs and not unreadable:
        names = ", ".join(str(root) for root in roots)
        raise UserError(f"{names}: no runs there; looked for folders with a {RESULT} at any depth")
    return runs, unreadable


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max

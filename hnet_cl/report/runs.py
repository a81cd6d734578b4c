"""Reading run folders."""

import contextlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hnet_cl.core.config_hash import NOT_COMPUTED, is_below, without
from hnet_cl.core.errors import UserError
from hnet_cl.core.nested import flatten
from hnet_cl.core.older import new_key, upgraded
from hnet_cl.core.regular_files import YAML_LIMIT, parse_yaml, read_regular
from hnet_cl.core.scores import SCORES, Score
from hnet_cl.records.embeddings import read_embeddings
from hnet_cl.records.metrics_table import Evidence, computed
from hnet_cl.records.run_folder import RESULT, SETUP, read_result
from hnet_cl.records.run_result import RunResult
from hnet_cl.report.folders import run_folders

NETWORK = "network"
CHOSEN, CLASS = "target=module", "target._target_"  # network=my.Net is recorded as the former, and my.Net as the latter


@dataclass(frozen=True)
class Run:
    """One readable run.

    Attributes:
        folder: its path, as the user would type it.
        result: its validated result.json.
        scratch: the result of the run from scratch that `transfer` compares with (see `hnet_cl.report.transfer`).
    """

    folder: Path
    result: RunResult
    scratch: RunResult | None = field(default=None, repr=False)

    @property
    def score(self) -> Score:
        """Returns the score in its matrix."""
        return SCORES[self.result.score]

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Returns everything in result.json, with dotted keys; `dataset` also where older versions did not write it."""
        dataset = self.settings.get("dataset.name", self.result.data.name)
        return flatten(self.result) | {"dataset": self.result.dataset or dataset}

    @cached_property
    def typed(self) -> dict[str, str]:
        """Returns the overrides as typed, by key, without those that do not affect the computation.

        The keys are those of the configuration, also where `network=CLASS` and `network.KEY=VALUE` were typed.
        """
        pairs = (override.partition("=") for override in self.result.overrides)
        named = ((self._renamed(key), equals, value) for key, equals, value in pairs)
        keyed = {key.lstrip("+~"): one_line(f"{key}{equals}{value}") for key, equals, value in named}
        if keyed.get("target") == CHOSEN and CLASS in keyed:
            keyed = {key: by_network(text) for key, text in keyed.items() if key != "target"}
        return {key: override for key, override in keyed.items() if not is_below(key, NOT_COMPUTED)}

    def _renamed(self, typed: str) -> str:
        """Replaces an old key, as typed, by its present name if only that is in `settings`."""
        key = typed.lstrip("+~")
        new = new_key(key)
        return typed.removesuffix(key) + new if new in self.settings and key not in self.settings else typed

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Returns the configuration with dotted keys, without those that do not affect the computation.

        It is empty if the configuration cannot be read.
        """
        try:
            config = parse_yaml(read_regular(self.folder / SETUP / "config.yaml", YAML_LIMIT))
        except (OSError, ValueError):
            return {}
        if not isinstance(config, dict):
            return {}
        return flatten(without(upgraded(config), NOT_COMPUTED)) if config else {}

    @cached_property
    def embeddings(self) -> Sequence[Sequence[float]] | None:
        """Returns the task embeddings (T, E) of the run; None if it has none, or more than it has tasks."""
        found = read_embeddings(self.folder)
        return found if found is None or len(found) <= self.result.num_tasks else None

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Returns all numbers of the run that can be averaged, by name; metrics are fractions.

        Metrics that follow from the matrix of scores are recomputed, so that runs of all versions share the formulas.
        """
        facts = {key: value for key, value in self.facts.items() if not key.startswith("metrics.")}
        numbers = facts | self.result.metrics
        with contextlib.suppress(ValueError):  # an unfinished run may have outputs that were not numbers
            result, scratch = self.result, self.scratch.scores if self.scratch else None
            inferred, memory = result.inferred_tasks, (result.memory_bytes or {}).get("total")
            known = result.points, result.certified_matrix
            evidence = Evidence(result.scores, None, inferred, None, scratch, self.score, memory, *known)
            numbers |= computed(evidence)
        return {name: value for name, value in numbers.items() if _is_number(value)}

    def value(self, key: str) -> str | None:
        """Returns the value of a dotted key as text, or None if the run does not have it.

        The key is looked up in result.json, then in the configuration, then among the typed overrides; `network` and
        the keys below it in the configuration, where they have other names.
        """
        key = configured(key)
        if key in self.facts:
            return shown(self.facts[key])
        if key in self.settings:
            return shown(self.settings[key])
        return self.typed[key].partition("=")[2] if key in self.typed else None


def by_network(text: str) -> str:
    """Returns a key of the target network, or an override of one, as it is typed with `network=CLASS`; others as is."""
    text = re.sub(rf"^\+*{re.escape(CLASS)}(?=$|=)", NETWORK, text)
    return re.sub(r"^\+*target\.", f"{NETWORK}.", text)


def configured(key: str) -> str:
    """Returns the key of the configuration that `network`, or a key below it, stands for; others as is."""
    return CLASS if key == NETWORK else re.sub(rf"^{NETWORK}\.", "target.", key)


@dataclass(frozen=True)
class Unreadable:
    """A folder that cannot be read as a run, and the reason."""

    folder: Path
    reason: str


def shown(value: Any) -> str:
    """Formats a value as it is typed in an override."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(shown(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else one_line(str(value))


def one_line(text: str) -> str:
    """Puts a text on one line and replaces characters that are not printable, such as terminal control codes."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))


def read_runs(roots: Sequence[Path]) -> tuple[list[Run], list[Unreadable]]:
    """Reads all runs below some folders, each once; returns those that can be read and those that cannot.

    Raises:
        UserError: a folder does not exist, or none holds a run.
    """
    for root in roots:
        if not root.is_dir():
            reason = "not a folder" if root.exists() else "no such folder"
            raise UserError(f"{root}: {reason}; give the folder of your runs, which is outputs where you started them")
    runs: list[Run] = []
    unreadable: list[Unreadable] = []

    def note(error: OSError) -> None:
        unreadable.append(Unreadable(Path(error.filename), str(error.strerror)))

    for folder in run_folders(roots, note):
        found = _read(folder)
        runs += [found] if isinstance(found, Run) else []
        unreadable += [found] if isinstance(found, Unreadable) else []
    if not runs and not unreadable:
        names = ", ".join(str(root) for root in roots)
        raise UserError(f"{names}: no runs there; looked for folders with a {RESULT} at any depth")
    return runs, unreadable


def _read(folder: Path) -> Run | Unreadable:
    try:
        result = read_result(folder)
        if result is None:
            return Unreadable(folder, f"no {RESULT}: it failed before training, or is about to begin")
        result.require_short()
    except OSError as error:
        return Unreadable(folder, f"{RESULT}: {error.strerror}")
    except ValueError as error:
        return Unreadable(folder, f"{RESULT} {error}")
    return Run(folder, result)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max

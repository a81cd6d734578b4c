"""The runs from scratch that `transfer` compares runs with, and the commands for those that are missing."""

import itertools
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hnet_cl.core.config_hash import is_below
from hnet_cl.core.scores import ACCURACY
from hnet_cl.report.notes import Note
from hnet_cl.report.runs import Run, one_line, shown

SCRATCH = "scratch"
ALIKE = (  # settings in which both runs must agree
    *("benchmark", "target", "training", "optimizer", "lr_scheduler", "scenario", "device.precision"),
)
MEASURED = ("training.eval_window", "training.eval_every")  # these change no training
NOT_REPEATED = ("method", "preset", "seed", "seeds", "extends", "fresh", "debug", "checkpoint_every", "logger", "hydra")
OPTIONS = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")  # of Hydra, each with a value
COMMANDS = 5  # shown at most


def with_scratch(runs: Sequence[Run]) -> list[Run]:
    """Returns the same runs, each with the finished run from scratch of the same tasks, seed, training and precision.

    The data, by name and checksum, and all settings below `ALIKE` but `MEASURED` must be the same, and the task must be
    given, since an inferred one depends on all networks. Among several candidates, one with the same device settings is
    preferred, then the first. A run whose configuration cannot be read has no counterpart and cannot be one.
    """
    scratch: dict[object, list[Run]] = {}
    for run in runs:
        if run.result.method == SCRATCH and run.result.status == "finished" and run.settings and _told(run):
            scratch.setdefault(_tasks(run), []).append(run)
    return [_beside(run, scratch.get(_tasks(run), [])) for run in runs]


def _beside(run: Run, candidates: Iterable[Run]) -> Run:
    if run.result.method == SCRATCH:
        return run
    fitting = [other for other in candidates if run.settings and _training(other) == _training(run)]
    fitting.sort(key=lambda other: _below(other, ["device"]) != _below(run, ["device"]))
    return replace(run, scratch=fitting[0].result) if fitting else run


def _tasks(run: Run) -> object:
    """Returns the facts of a result in which both runs must agree."""
    result = run.result
    data = (result.data.name, result.data.checksum)
    return (result.benchmark, *data, result.scenario, result.num_tasks, result.seed)


def _training(run: Run) -> Mapping[str, str]:
    return {key: value for key, value in _below(run, ALIKE).items() if key not in MEASURED}


def _below(run: Run, keys: Sequence[str]) -> dict[str, str]:
    """Returns the settings below some keys as text.

    Null settings are left out, since older versions did not write all of them.
    """
    return {key: shown(value) for key, value in run.settings.items() if value is not None and is_below(key, keys)}


def missing(runs: Sequence[Run], every: Sequence[Run]) -> list[Note]:
    """Returns a note on the runs that could have `transfer` but do not, with the commands of the missing runs.

    Args:
        runs: the finished runs that are compared.
        every: all runs that were found.
    """
    without = [run for run in runs if _could_have_it(run)]
    unknown = [run for run in without if not run.settings]
    commands: dict[tuple[str, ...], dict[int, Run]] = {}
    for run in without:
        if run.settings:
            commands.setdefault(tuple(_words(run, every)), {}).setdefault(run.result.seed, run)
    lines = [(f"for {_folders([*seeds.values()])}", _command(words, [*seeds])) for words, seeds in commands.items()]
    if len(lines) > COMMANDS:
        lines[COMMANDS:] = [("...", f"{len(lines) - COMMANDS} more")]
    if unknown:
        lines.append((_folders(unknown), "unknown settings, .hydra/config.yaml cannot be read"))
    if not lines:
        return []
    number = f"{len(without)} run{'' if len(without) == 1 else 's'}"
    reason = "there is no run from scratch with the same tasks, seed, target, training and precision"
    return [(f"{number} without transfer: {reason}", lines)]


def _could_have_it(run: Run) -> bool:
    return _told(run) and run.score is ACCURACY and run.result.method != SCRATCH and run.scratch is None


def _told(run: Run) -> bool:
    """Tells whether the task is given, as far as is known."""
    return run.settings.get("scenario.task_known") is not False


def _folders(runs: Sequence[Run]) -> str:
    others = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return one_line(str(runs[0].folder)) + others


def _command(words: Sequence[str], seeds: Sequence[int]) -> str:
    several = ["-m"] if len(seeds) > 1 else []
    return one_line(shlex.join([*words, f"seed={','.join(str(seed) for seed in sorted(seeds))}", *several]))


def _words(run: Run, runs: Sequence[Run]) -> list[str]:
    """Returns the command of a run's missing counterpart from scratch, without the seed.

    It repeats what was typed for the run, except for the method. If a run from scratch with the same overrides trained
    with other settings, because a preset of the method had changed them, the settings that differ are added.
    """
    typed = [override for override in run.result.overrides if not _is_of_method(override)]
    others = [other for other in runs if other.result.method == SCRATCH and other.settings]
    alike = [other for other in others if _typed_alike(other, typed) and other.result.scenario == run.result.scenario]
    if alike:
        theirs = _training(alike[0])
        typed += [f"{key}={value}" for key, value in _training(run).items() if theirs.get(key) != value]
    return ["python", "-m", "hnet_cl", *_options(run.result.command), *typed, f"method={SCRATCH}"]


def _typed_alike(scratch: Run, typed: Sequence[str]) -> bool:
    theirs = (override for override in scratch.result.overrides if not _is_of_method(override))
    return sorted(theirs) == sorted(typed)


def _is_of_method(override: str) -> bool:
    """Tells whether an override belongs to the method or to a single run, so that it is not repeated from scratch."""
    key = override.partition("=")[0].lstrip("+~").replace("/", ".").replace("@", ".")
    return is_below(key, NOT_REPEATED)


def _options(command: str) -> list[str]:
    """Returns the options of a command line that say where configurations are, with their values."""
    try:
        words = shlex.split(command)
    except ValueError:
        return []
    found = [word for word in words if word.partition("=")[0] in OPTIONS and "=" in word]
    pairs = itertools.pairwise(words)
    return found + [word for option, value in pairs if option in OPTIONS for word in (option, value)]

"""The command line before Hydra reads it."""

import contextlib
import difflib
import io
import re
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser

from hnet_cl.core.atomic_files import at_home
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown

SWEEP = "--multirun"
NO_SWEEP = ("--cfg", "--info", "--run")  # flags of Hydra that exclude a sweep
NAMES = ("benchmark.name", "scenario.name", "method.name", "dataset.name")  # set by the chosen files alone
MOST_SEEDS = "10000"
MOST_DIGITS = 400  # float("1" + 308 * "0") is about as large as a number can be


def refuse_long_numbers(arguments: Sequence[str]) -> None:
    """Refuses numbers of `MOST_DIGITS` digits or more, which no float can hold.

    Raises:
        UserError: an argument holds one.
    """
    for argument in arguments:
        if found := re.search(rf"[0-9_]{{{MOST_DIGITS},}}", argument):
            key = shown(argument.partition("=")[0])
            raise UserError(f"{key}={found[0][:10]}...: is a number of {len(found[0])} digits; give a smaller one")


def flags_last(arguments: Sequence[str]) -> list[str]:
    """Moves all flags to the end, under their full names: Hydra's parser stops at a flag in the middle.

    Raises:
        UserError: a flag is unknown, or its value is.
        SystemExit: the parser has printed what --version asks for.
    """
    parser = get_args_parser()
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            given = vars(parser.parse_intermixed_args(arguments))
    except SystemExit as end:
        if not end.code:  # no error: the parser has printed what --version asks for
            raise
        raise UserError(_flag_problem(said.getvalue().rpartition(" error: ")[2].strip())) from None
    names = {action.dest: action.option_strings[0] for action in parser._actions if action.option_strings}
    flags = [
        name if given[key] is True else f"{name}={at_home(given[key])}" for key, name in names.items() if given.get(key)
    ]
    return [*given["overrides"], *flags]


def _flag_problem(said: str) -> str:
    """Rewords a message of argparse in the form of all other error lines."""
    if found := re.match(r"unrecognized arguments: (\S+)", said):
        flag, *_ = found[1].partition("=")
        key = flag.lstrip("-")
        flags = [name for action in get_args_parser()._actions for name in action.option_strings if name[:2] == "--"]
        similar = difflib.get_close_matches(flag, flags, n=1, cutoff=0.75)
        advice = f"; did you mean {similar[0]}?" if similar else f"; keys have no dashes: {key}=VALUE"
        return f"{shown(flag)}: no such flag{advice}"
    flag, _, reason = said.removeprefix("argument ").partition(": ")
    return f"{flag}: {shown(reason)}"


def is_set(key: str, arguments: Sequence[str]) -> bool:
    """Tells whether the last argument that sets the key sets it to true."""
    values = [found[1] for argument in arguments if (found := re.fullmatch(rf"\+*{re.escape(key)}=(.*)", argument))]
    return bool(values) and values[-1].lower() in ("true", "1", "yes", "on")


def spread_seeds(arguments: Sequence[str]) -> list[str]:
    """Replaces `seeds=N` by a sweep over seeds 1 to N, or over N seeds from a given `seed=` on, in one process.

    Expects the flags last, as `flags_last` leaves them. Without `seeds` nothing changes; where no sweep is possible, as
    with --cfg, only the first seed is kept.

    Raises:
        UserError: N is no positive number or too large, `seed` is no single number, or the seeds would be part of a
            search.
    """
    given = {}
    for argument in arguments:
        if found := re.fullmatch(r"\+{0,2}(seeds?)=(.*)", argument):
            given[found[1]] = found[2]
    if "seeds" not in given:
        return list(arguments)
    number, first = given["seeds"], given.get("seed", "1")
    if len(number) > len(MOST_SEEDS) or number.zfill(len(MOST_SEEDS)) > MOST_SEEDS:
        raise UserError(f"seeds={number[:20]}: give at most {MOST_SEEDS} seeds")
    if not re.fullmatch("[1-9][0-9]*", number):
        single = f"; single ones are seed={number} -m" if re.fullmatch("[0-9]+(,[0-9]+)+", number) else ""
        raise UserError(f"seeds={number}: give the number of seeds to run, as seeds=10{single}")
    if not re.fullmatch("[0-9]+", first):
        raise UserError(f"seeds={number} with seed={first}: give the first seed alone, as seed=1")
    if search := _chosen(arguments, "hydra/sweeper", "grid", "compare"):
        raise UserError(f"seeds={number} with {search}: a search would choose among the seeds; give one, as seed=1")
    alone = any(argument.partition("=")[0] in NO_SWEEP for argument in arguments)
    seeds = [first] if alone else [str(int(first) + i) for i in range(int(number))]
    launcher = [] if alone or _chosen(arguments, "hydra/launcher") else ["hydra/launcher=one_process"]
    flag = [] if alone or SWEEP in arguments else [SWEEP]
    return [*_replaced(arguments, [f"seed={','.join(seeds)}", *launcher]), *flag]


def refuse_names(overrides: Sequence[str]) -> None:
    """Refuses an override that would give a run another name than its chosen files do.

    Raises:
        UserError: there is such an override.
    """
    for override in overrides:
        key = re.split("[@=]", override.lstrip("+~"))[0]
        if key in NAMES:
            raise UserError(
                f"{shown(override)}: a run is called by the files that it was composed of; leave {key} out, or choose "
                f"another {key.removesuffix('.name')} (a yaml file of your own has a name of its own)"
            )


def run_folder(value: object, key: str) -> Path:
    """Returns the folder that is the value of `key`.

    Raises:
        UserError: the value is empty, as when a shell variable is not set: it would mean the working directory.
    """
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{key}={'' if value is None else value}: is empty; give a folder, or leave it out")
    return Path(value)


def refuse_subdir(value: object) -> None:
    """Refuses a folder for the configuration beside the run's own `.hydra`: Hydra writes there without looking.

    Raises:
        UserError: the value of `hydra.output_subdir` is not null.
    """
    if value is not None:
        raise UserError(
            f"hydra.output_subdir={shown(value)}: a run writes its configuration to .hydra in its own folder; leave "
            "hydra.output_subdir out"
        )


def _chosen(arguments: Sequence[str], group: str, *otherwise: str) -> str:
    """Returns the first argument that chooses anything but `otherwise` from a group; an empty string if none does."""
    chosen = [argument for argument in arguments if argument.startswith(f"{group}=")]
    return next((argument for argument in chosen if argument.partition("=")[2] not in otherwise), "")


def _replaced(arguments: Sequence[str], seeds: Sequence[str]) -> list[str]:
    """Puts `seeds` in the place of `seeds=N` and leaves out `seed=`; flags stay where they are."""
    parts: list[str] = []
    for argument in arguments:
        if re.match(r"\+{0,2}seeds=", argument):
            parts += seeds
        elif not re.match(r"\+{0,2}seed=", argument):
            parts.append(argument)
    return parts

"""The command line before Hydra reads it."""

import re
from collections.abc import Sequence
from pathlib import Path

from hnet_cl.errors import UserError

SWEEP = ("-m", "--multirun")
NO_SWEEP = ("--cfg", "-c", "--info", "-i", "--run", "-r")  # flags of Hydra with which it takes no sweep


def flags_last(arguments: Sequence[str]) -> list[str]:
    """The same arguments with -m at the end: Hydra's parser stops at one that stands between overrides."""
    sweep = [argument for argument in arguments if argument in SWEEP]
    return [argument for argument in arguments if argument not in sweep] + sweep


def is_set(key: str, arguments: Sequence[str]) -> bool:
    """Whether the last of the arguments that sets the key sets it to true."""
    values = [found[1] for argument in arguments if (found := re.fullmatch(rf"\+*{re.escape(key)}=(.*)", argument))]
    return bool(values) and values[-1].lower() in ("true", "1", "yes", "on")


def spread_seeds(arguments: Sequence[str]) -> list[str]:
    """`seeds=N` as the sweep that it stands for: seeds 1 to N, or N from a given `seed=` on, in one process.

    Without it nothing changes; where there can be no sweep, as with --cfg, it is the first seed.

    Raises:
        UserError: N is no positive number, `seed` no single one, or the seeds would be part of a search.
    """
    given = {}
    for argument in arguments:
        if found := re.fullmatch(r"\+{0,2}(seeds?)=(.*)", argument):
            given[found[1]] = found[2]
    if "seeds" not in given:
        return list(arguments)
    number, first = given["seeds"], given.get("seed", "1")
    if not re.fullmatch("[1-9][0-9]*", number):
        raise UserError(f"seeds={number}: give the number of seeds to run, as seeds=10")
    if not re.fullmatch("[0-9]+", first):
        raise UserError(f"seeds={number} with seed={first}: give the first seed alone, as seed=1")
    if search := _chosen(arguments, "hydra/sweeper", otherwise="grid"):
        raise UserError(f"seeds={number} with {search}: a search would choose among the seeds; give one, as seed=1")
    alone = any(argument.partition("=")[0] in NO_SWEEP for argument in arguments)
    seeds = [first] if alone else [str(int(first) + i) for i in range(int(number))]
    launcher = [] if alone or _chosen(arguments, "hydra/launcher") else ["hydra/launcher=one_process"]
    flag = [] if alone or any(argument in SWEEP for argument in arguments) else ["-m"]
    return flags_last([*_replaced(arguments, [f"seed={','.join(seeds)}", *launcher]), *flag])


def refuse_names(overrides: Sequence[str]) -> None:
    """Refuses an override that would call a run by another name than its choices have.

    Raises:
        UserError: there is one.
    """
    for override in overrides:
        if found := re.match(r"[+~]*((benchmark|scenario|method)\.name)(@|=|$)", override):
            raise UserError(
                f"{override}: a run is called by the files that it was composed of; leave {found[1]} out, or choose "
                f"another {found[2]} (a yaml file of your own has a name of its own)"
            )


def run_folder(value: object, key: str) -> Path:
    """The folder that `key` says.

    Raises:
        UserError: it is empty, as where a variable of the shell is not set: that would be the working directory.
    """
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{key}={'' if value is None else value}: is empty; give a folder, or leave it out")
    return Path(value)


def _chosen(arguments: Sequence[str], group: str, otherwise: str = "") -> str:
    """The argument that chooses something of a group, unless it is that."""
    chosen = [argument for argument in arguments if argument.startswith(f"{group}=")]
    return next((argument for argument in chosen if argument != f"{group}={otherwise}"), "")


def _replaced(arguments: Sequence[str], seeds: Sequence[str]) -> list[str]:
    """The arguments with `seeds` in the place of `seeds=N`, and without `seed=`: flags stay where they are."""
    parts: list[str] = []
    for argument in arguments:
        if re.match(r"\+{0,2}seeds=", argument):
            parts += seeds
        elif not re.match(r"\+{0,2}seed=", argument):
            parts.append(argument)
    return parts

"""The command line before Hydra reads it."""

import re
from collections.abc import Sequence

from hnet_cl.errors import UserError

SWEEP = ("-m", "--multirun")
NO_SWEEP = ("--cfg", "-c", "--info", "-i", "--run", "-r")  # flags of Hydra with which it takes no sweep
MOST_SEEDS = "10000"
MOST_DIGITS = 400  # float("1" + 308 * "0") is about as large as a number can be


def refuse_long_numbers(arguments: Sequence[str]) -> None:
    """Numbers that Python itself would not read.

    Raises:
        UserError: an argument holds one.
    """
    for argument in arguments:
        if found := re.search(rf"[0-9_]{{{MOST_DIGITS},}}", argument):
            key = argument.partition("=")[0]
            raise UserError(f"{key[:80]}={found[0][:10]}...: is a number of {len(found[0])} digits; give a smaller one")


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
    if len(number) > len(MOST_SEEDS) or number.zfill(len(MOST_SEEDS)) > MOST_SEEDS:
        raise UserError(f"seeds={number[:20]}: give at most {MOST_SEEDS} seeds")
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

"""The command line before Hydra reads it."""

import re
from collections.abc import Sequence

from hnet_cl.errors import UserError

SWEEP = ("-m", "--multirun")


def flags_last(arguments: Sequence[str]) -> list[str]:
    """The same arguments with -m at the end: Hydra's parser stops at one that stands between overrides."""
    sweep = [argument for argument in arguments if argument in SWEEP]
    return [argument for argument in arguments if argument not in sweep] + sweep


def spread_seeds(arguments: Sequence[str]) -> list[str]:
    """`seeds=N` as the sweep that it stands for: N seeds from `seed` on, in one process. Without it nothing changes.

    Raises:
        UserError: N is no positive number, or `seed` no single one.
    """
    given = dict(argument.split("=", 1) for argument in arguments if argument.startswith(("seed=", "seeds=")))
    if "seeds" not in given:
        return list(arguments)
    number, first = given["seeds"], given.get("seed", "1")
    if not re.fullmatch("[1-9][0-9]*", number):
        raise UserError(f"seeds={number}: give the number of seeds to run, as seeds=10")
    if not re.fullmatch("[0-9]+", first):
        raise UserError(f"seeds={number} with seed={first}: give the first seed alone, as seed=1")
    seeds = ",".join(str(int(first) + i) for i in range(int(number)))
    rest = [argument for argument in arguments if not argument.startswith(("seed=", "seeds="))]
    chosen = any(argument.startswith("hydra/launcher=") for argument in rest)
    launcher = [] if chosen else ["hydra/launcher=one_process"]
    sweep = [] if any(argument in SWEEP for argument in rest) else ["-m"]
    return flags_last([*rest, f"seed={seeds}", *launcher, *sweep])

"""How many processes make a run, and which of them this one is, as torchrun tells it in environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown

NO_SWEEP = (
    "torchrun shares one run among processes, and this is a sweep or a comparison; start it without torchrun, or each "
    "of its runs with it"
)
NEEDED = ("MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """The place of a process among those of a run.

    Attributes:
        rank: its number, from 0.
        size: number of processes.
        local_rank: its number among the processes of its machine, which is that of its GPU.
        local_size: number of processes of its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def command(self) -> str:
        """Returns the words with which such a run starts on the command line, up to the name of the program."""
        if self.size == 1:
            return "python -m"
        machines = f"--nnodes={self.size // self.local_size} " if self.local_size < self.size else ""
        return f"torchrun {machines}--nproc-per-node={self.local_size} -m"


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """Returns the place of this process; that of a process alone where RANK or WORLD_SIZE is missing.

    Raises:
        UserError: a variable is no number, too large or missing.
    """
    if not ("RANK" in environment and "WORLD_SIZE" in environment):
        return Place()
    size = _number(environment, "WORLD_SIZE", "1", 1, None)
    if size == 1:
        return Place()
    rank = _number(environment, "RANK", "0", 0, size)
    for name in NEEDED:
        if name not in environment:
            raise UserError(
                f"WORLD_SIZE={size} in the environment, without {name}: start several processes with torchrun "
                f"--nproc-per-node={size} -m hnet_cl, and one process without WORLD_SIZE"
            )
    if not environment["MASTER_ADDR"].strip():
        raise UserError("MASTER_ADDR is empty in the environment: give the name of the machine of rank 0")
    _number(environment, "MASTER_PORT", "", 1, 2**16)
    local_size = _number(environment, "LOCAL_WORLD_SIZE", str(size), 1, size + 1)
    return Place(rank, size, _number(environment, "LOCAL_RANK", str(rank), 0, local_size), local_size)


def _number(environment: Mapping[str, str], name: str, default: str, least: int, bound: int | None) -> int:
    text = environment.get(name, default)
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < least or int(text) >= (bound or 10**9):
        below = "" if bound is None else f" and below {bound}"
        raise UserError(f"{name}={shown(text)} in the environment: is no number of at least {least}{below}")
    return int(text)

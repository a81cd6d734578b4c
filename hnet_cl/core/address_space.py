"""A check that the address space suffices for torch, made before torch is imported, which would fail halfway."""

import sys
from pathlib import Path

NEEDED = 1_100_000 * 1024  # bytes for the smallest run on two cores
LIMITS = Path("/proc/self/limits")  # read instead of `resource`, a shared library that may not fit into memory either


def require(program: str) -> None:
    """Ends the process with one line and exit code 2 if `ulimit -v` leaves too little.

    Args:
        program: name of the program, for the message.

    Raises:
        SystemExit: the limit is too low.
    """
    limit = _limit()
    if limit is not None and limit < NEEDED:
        print(
            f"{program}: ulimit -v {limit // 1024}: torch and its libraries take {NEEDED // 1024} kB of address space; "
            "raise the limit, or lift it with ulimit -v unlimited",
            file=sys.stderr,
        )
        raise SystemExit(2)


def _limit() -> int | None:
    """Returns the limit of the address space in bytes; None if there is none or it is unknown."""
    try:
        lines = LIMITS.read_text(encoding="ascii").splitlines()
        (soft,) = [line.split()[3] for line in lines if line.startswith("Max address space")]
        return int(soft)
    except (OSError, ValueError):
        return None

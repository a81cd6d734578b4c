"""Whether a process may have the memory that torch takes: asked before torch is imported, which would fail halfway."""

import sys
from pathlib import Path

NEEDED = 1_100_000 * 1024  # bytes for the smallest run on two cores
LIMITS = Path("/proc/self/limits")  # the module `resource` is a library of its own, which may not fit either


def require(program: str) -> None:
    """Ends the process with one line and exit code 2 where `ulimit -v` leaves too little."""
    limit = _limit()
    if limit is not None and limit < NEEDED:
        print(
            f"{program}: ulimit -v {limit // 1024}: torch and its libraries take {NEEDED // 1024} kB of address space; "
            "raise the limit, or lift it with ulimit -v unlimited",
            file=sys.stderr,
        )
        raise SystemExit(2)


def _limit() -> int | None:
    """Bytes of address space; None where there is no limit, or nobody says."""
    try:
        lines = LIMITS.read_text(encoding="ascii").splitlines()
        (soft,) = [line.split()[3] for line in lines if line.startswith("Max address space")]
        return int(soft)
    except (OSError, ValueError):
        return None

"""The memory that is available, and messages for when it does not suffice."""

import contextlib
import errno
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from hnet_cl.core.errors import UserError

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # version 2, version 1
_SAYS_SO = ("can't allocate memory", "out of memory", "bad allocation", "bad_alloc", "can't start new thread")
ADVICE = "use smaller sizes or batches (training.batch_size, training.eval_batch_size), or a machine with more"

P = ParamSpec("P")
Result = TypeVar("Result")


class TooLargeError(UserError):
    """Something certainly does not fit into memory."""


def memory_limit() -> int:
    """Returns the most memory in bytes that machine, container and `ulimit -v` allow this process."""
    limits = [_machine(), *_containers(), *_of_process()]
    return min(limits)


def _machine() -> int:
    """Returns the machine's memory including swap, in bytes; 2**63 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        return sizes["MemTotal"] + sizes["SwapTotal"]
    except (OSError, LookupError, ValueError):
        with contextlib.suppress(ValueError, OSError, AttributeError):
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2**63


def _containers() -> Iterator[int]:
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # the text "max" means no limit
            yield int(Path(path).read_text())


def _of_process() -> Iterator[int]:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            yield max(soft - used, 0)


def require_memory(needed: int, limit: int, key: str, what: str) -> None:
    """Refuses something that certainly does not fit into memory.

    Args:
        needed: bytes that it needs at least.
        limit: bytes that are available.
        key: the setting that determines the size.
        what: subject and verb of the message, e.g. "a batch of inputs takes".

    Raises:
        TooLargeError: `needed` is more than `limit`.
    """
    if needed > limit:
        raise TooLargeError(
            f"{key}: {what} at least {amount(needed)} of memory, and there are {amount(limit)}; {ADVICE}"
        )


def amount(size: int) -> str:
    """Formats a number of bytes for people to read, e.g. 1.5 GB."""
    unit = next((unit for unit in ("GB", "TB", "PB") if size < 10_000 * _UNITS[unit]), "EB")
    number = size / _UNITS[unit]
    return f"{number:,.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"


_UNITS = {"GB": 10**9, "TB": 10**12, "PB": 10**15, "EB": 10**18}


def largest_of(settings: Any, key: str) -> str:
    """Returns the setting below `key` with the largest integer, as key=value: the likely reason for a size."""
    found = max(_numbers(settings, key), key=lambda entry: entry[0], default=None)
    return key if found is None else f"{found[1]}={found[2]}"


def _numbers(settings: Any, key: str) -> Iterator[tuple[float, str, Any]]:
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from _numbers(value, f"{key}.{name}")
    numbers = settings if isinstance(settings, list) else [settings]
    if found := [n for n in numbers if isinstance(n, int) and not isinstance(n, bool)]:
        yield max(found), key, settings


def out_of_memory(error: BaseException) -> str | None:
    """Returns a one-line message for an error that means out of memory; None for any other error."""
    text = " ".join(str(error).split())
    short = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    if not short and not (isinstance(error, RuntimeError) and any(words in text.lower() for words in _SAYS_SO)):
        return None
    said = text.partition("you tried")[2].partition(". ")[0] or text.partition("Tried")[2].partition(". ")[0]
    return f"memory: there is not enough{f' (tried{said})' if said else ''}; {ADVICE}"


def naming_lack_of_memory(
    turns: Callable[P, Generator[None, None, Result]],
) -> Callable[P, Generator[None, None, Result]]:
    """Wraps a generator function so that running out of memory raises a UserError with a one-line message."""

    @wraps(turns)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Generator[None, None, Result]:
        try:
            return (yield from turns(*args, **kwargs))
        except Exception as error:
            if line := out_of_memory(error):
                raise UserError(line) from error
            raise

    return wrapped

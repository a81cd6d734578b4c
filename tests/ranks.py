"""Several processes that make one run, by fork: they need not import torch again."""

import json
import os
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun tells a process."""
    numbers = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}
    return {"MASTER_ADDR": "127.0.0.1", **{name: str(number) for name, number in numbers.items()}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fork(size: int, work: Callable[[int], object], folder: Path) -> list[int]:
    """Starts `work(rank)` in each of `size` processes; returns their ids."""
    port, children = free_port(), []
    for rank in range(size):
        (folder / f"returned-{rank}").unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            os.environ.update(environment(rank, size, port))
            code = 1
            try:
                (folder / f"returned-{rank}").write_text(json.dumps(work(rank)))
                code = 0
            except BaseException:
                (folder / f"returned-{rank}").write_text(traceback.format_exc())
            finally:
                os._exit(code)
        children.append(child)
    return children


def waited(children: Sequence[int], folder: Path, within_s: float = 250) -> list[Any]:
    """What the processes returned; None of one that was killed; what they raise is raised here."""
    until, found = time.monotonic() + within_s, []
    for rank, child in enumerate(children):
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            assert time.monotonic() < until, f"process {rank} does not end"
            time.sleep(0.02)
        status = os.waitstatus_to_exitcode(ended[1])
        text = (folder / f"returned-{rank}").read_text() if status >= 0 else "null"
        assert status <= 0, text
        found.append(json.loads(text))
    return found


def forked(size: int, work: Callable[[int], object], folder: Path) -> list[Any]:
    """What `work(rank)` returns in each of `size` processes, through JSON; what it raises is raised here."""
    return waited(fork(size, work, folder), folder)

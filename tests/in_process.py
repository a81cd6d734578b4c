"""`python -m hnet_cl` in this process, up to where a run or the jobs of a sweep would start."""

import contextlib
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from hnet_cl import app
from hnet_cl.sweeps import grid, search
from hnet_cl.sweeps.jobs import Job, Outcome


@dataclass
class Ended:
    """How a command ended: `code` is None after a traceback, `jobs` are the overrides of all that would have run."""

    code: Any
    out: str
    err: str
    jobs: list[list[str]] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """What it says against the command."""
        assert self.code == 2 and self.err.startswith("hnet_cl: "), self.err
        return self.err.removeprefix("hnet_cl: ").rstrip("\n").split("\n")


@contextlib.contextmanager
def up_to_the_start(folder: Path, jobs: list[list[str]]) -> Iterator[None]:
    """Inside, runs and jobs end where they would start, and the working directory is `folder`."""

    def finish(given: Sequence[Job], *_: Any, **__: Any) -> list[Outcome]:
        jobs.extend(list(job.overrides) for job in given)
        return [Outcome(job.overrides, job.folder, "finished", {"acc": 0.5}) for job in given]

    def turns(_: Any, job: Any, __: Any) -> Iterator[None]:
        jobs.append(list(job.overrides.task))
        yield from ()

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(app, "_turns", turns)
        patch.setattr(grid, "finish", finish)
        patch.setattr(search, "finish", finish)
        patch.setenv("HYDRA_FULL_ERROR", "0")
        yield


def command(folder: Path, *arguments: str) -> Ended:
    """Runs a command line in `folder`."""
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    out, err, jobs = io.StringIO(), io.StringIO(), []  # type: ignore[var-annotated]
    code: Any = 0
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with (
        up_to_the_start(folder, jobs),
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        patch.setattr(sys, "argv", ["hnet_cl", *arguments])
        try:
            app.main()
        except SystemExit as end:
            code = end.code
        except Exception:
            code = None
            traceback.print_exc()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return Ended(code, out.getvalue(), err.getvalue(), jobs)


def left(folder: Path) -> list[str]:
    """All that lies in the folder."""
    return sorted(os.path.relpath(Path(where, name), folder) for where, _, names in os.walk(folder) for name in names)

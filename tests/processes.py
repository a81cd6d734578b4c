"""hnet_cl as a process of its own, and what it leaves behind."""

import json
import os
import resource
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra

from hnet_cl.app import main


def start(
    *arguments: str, cwd: Path | None = None, process_group: int | None = None, **environment: str
) -> subprocess.Popen[str]:
    """`python -m hnet_cl` with these arguments; with `process_group=0` in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "hnet_cl", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        process_group=process_group,
    )


def limited(kilobytes: int, *command: str) -> subprocess.CompletedProcess[str]:
    """A Python process with these arguments that may have so much address space, as `ulimit -v` says it."""
    limit = kilobytes * 1024
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        timeout=300,
    )


def hnet_cl(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same, waited for."""
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def folder_of(done: subprocess.CompletedProcess[str]) -> Path:
    """The run folder: the last line of a run that went well."""
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def losses_of(folder: Path) -> str:
    return (folder / "metrics.csv").read_text()


def mistake(*arguments: str, **environment: str) -> str:
    """What a run that ends by the user's mistake says: one clear line, or one for each mistake."""
    process = hnet_cl(*arguments, **environment)
    assert process.returncode == 2, process.stderr
    assert process.stderr.startswith("hnet_cl: ")
    assert "Traceback" not in process.stderr + process.stdout
    return process.stderr.removeprefix("hnet_cl: ").rstrip("\n")


def in_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m hnet_cl` without a process of its own: much quicker, but nothing of it ends with it."""
    out, err = StringIO(), StringIO()
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["hnet_cl", *arguments])
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            GlobalHydra.instance().clear()
    return subprocess.CompletedProcess(["hnet_cl", *arguments], code or 0, out.getvalue(), err.getvalue())

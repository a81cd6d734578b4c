"""The provenance of a result: software versions, git commit, command line and peak memory."""

import importlib.metadata
import os
import platform
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import hnet_cl
from hnet_cl.core.processes import place

PACKAGES = ("torch", "torchvision", "numpy", "hydra-core")


def versions() -> dict[str, str | None]:
    """Returns the versions of Python, of hnet_cl and of the packages that affect results; None where not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            # Read from metadata: importing torchvision takes a second and fails beside some builds of torch.
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found | {"hnet_cl": hnet_cl.__version__}


def command_line() -> str:
    """Returns the command line of this process."""
    return shlex.join([*place().command.split(), "hnet_cl", *sys.argv[1:]])


def _git(folder: Path, *arguments: str) -> str | None:
    # Without optional locks, git does not touch the index, so a run never interferes with a commit in progress.
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, env=environment)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def git_commit(checkout: Path = Path(hnet_cl.__file__).parents[1]) -> str | None:
    """Returns the commit of a git checkout, with '-dirty' if tracked files have changed; None if it is no checkout.

    `checkout` must be the top folder of the checkout: a wheel that is installed somewhere below another project's
    checkout does not belong to that project.
    """
    top = _git(checkout, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != checkout.resolve():
        return None
    return _git(checkout, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def peak_memory_mb() -> float:
    """Returns the peak resident memory of this process, in MB (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in KiB except on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

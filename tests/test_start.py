"""scripts/start.sh says what it is doing while it does it, and what went wrong."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "start.sh"
PYTHON = """#!/bin/sh
case "$1" in
  --version) echo Python 3.11.0 ;;
  -m) sleep 4; echo no room; exit 3 ;;
esac
"""


def started(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script in a folder of its own, with a Python that fails to make an environment after four seconds."""
    (folder / "scripts").mkdir()
    shutil.copy(SCRIPT, folder / "scripts")
    (folder / "python").write_text(PYTHON)
    (folder / "python").chmod(0o755)
    words = ["bash", "scripts/start.sh", *arguments]
    return subprocess.run(
        words, cwd=folder, env={"PATH": "/usr/bin:/bin", "PYTHON": "./python"}, capture_output=True, text=True
    )


def test_usage(tmp_path: Path) -> None:
    done = started(tmp_path, "strat")
    assert (done.returncode, done.stderr) == (2, "usage: bash scripts/start.sh demo | test | setup\n")


@pytest.mark.slow
def test_a_failure_is_shown_and_nothing_else_is_begun(tmp_path: Path) -> None:
    done = started(tmp_path, "test")
    assert done.returncode == 3
    assert (
        re.search(r"^1/4 Making the virtual environment \.+ \d+ s$", done.stdout, re.MULTILINE)
        and "2/4" not in done.stdout
    )
    assert done.stderr == "no room\nstart.sh: that failed; all of its output is in .venv/setup.log\n"
    assert not (tmp_path / ".venv" / "ready").exists()

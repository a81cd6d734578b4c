"""What the README shows: its example runs as it stands, and its table of choices is complete."""

import re
from pathlib import Path

import pytest

from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.help_text import GROUPS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_library_example_learns_both_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(import torch\n.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 17
    exec(compile(code, "README.md", "exec"), {})
    accuracies = re.findall(r"task \d: accuracy (\S+)", capsys.readouterr().out)
    assert len(accuracies) == 2 and all(float(accuracy) > 0.97 for accuracy in accuracies)


def test_every_choice_is_named() -> None:
    for group in GROUPS:
        (row,) = re.findall(rf"^\| `{group}` \|(.*)\|$", README, re.MULTILINE)
        named = set(re.findall(r"`(\w+)`", row))
        assert set(choices(conf_dir(), group)) <= named

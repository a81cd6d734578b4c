"""Run folders that are a stranger's cannot keep the report busy, fill its tables or put formulas into them."""

import csv
import io
import json
import os
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from fake_runs import readable, write_config, write_run

from hnet_cl.report.cli import main
from hnet_cl.report.runs import read_runs

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.mark.parametrize("kind", ["pipe", "zeros", "huge"])
def test_results_of_another_kind(kind: str, tmp_path: Path) -> None:
    write_run(tmp_path)
    folder = write_run(tmp_path, seed=2)
    (folder / "result.json").unlink()
    if kind == "pipe":
        os.mkfifo(folder / "result.json")
    elif kind == "zeros":
        (folder / "result.json").symlink_to("/dev/zero")
    else:
        (folder / "result.json").touch()
        os.truncate(folder / "result.json", 1 << 40)
    runs, (unreadable,) = read_runs([tmp_path])
    assert len(runs) == 1 and unreadable.folder == folder
    reason = "has more than 32 MiB" if kind == "huge" else "is no regular file"
    assert unreadable.reason == f"result.json: {reason}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"method": "x" * 10**7}, "method: string should have at most 255 characters"),
        ({"overrides": ["a=" + "x" * 10**7]}, "has a text that is too long to show: overrides.0, of"),
        ({"data": {"name": "x" * 10**7, "checksum": "a"}}, "data.name: string should have at most 255 characters"),
        ({"metrics": {"x" * 300: 1.0}}, "has a key that is longer than 200 characters or cannot be shown: 'xxxx"),
        ({"versions": {"\x1b[2J": "1"}}, "has a key that is longer than 200 characters or cannot be shown: '\\x1b[2J'"),
        ({"device": reduce(lambda inner, _: [inner], range(40), 1)}, "is nested more than 32 deep"),
    ],
)
def test_results_that_would_fill_a_table(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    write_run(tmp_path)
    path = write_run(tmp_path, seed=2) / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    runs, (unreadable,) = read_runs([tmp_path])
    assert len(runs) == 1 and unreadable.folder == path.parent
    assert reason in unreadable.reason and len(unreadable.reason) < 300


@pytest.mark.parametrize("kind", ["laughs", "pipe", "zeros", "deep"])
def test_configurations_that_never_end(kind: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
    )
    write_config(folder, "[" * 10_000 if kind == "deep" else laughs)
    path = folder / ".hydra" / "config.yaml"
    if kind in ("pipe", "zeros"):
        path.unlink()
        os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    (run,) = readable(tmp_path)
    assert run.settings == {}


def test_formulas_in_tables_of_a_spreadsheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, method="=cmd()", overrides=["@x=1", "+y=2"])
    write_run(tmp_path, method="-1", overrides=["=z"], data={"name": "+data", "checksum": "a"})
    main([str(tmp_path), "--format", "csv"])
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""), strict=True)
    assert (first["data.name"], first["method"]) == ("'+data", "-1")
    assert (second["data.name"], second["method"]) == ("mnist", "'=cmd()")
    assert all(not value.startswith(("=", "+", "@")) for row in (first, second) for value in row.values())
    assert float(first["mean"]) == float(second["mean"]) == 0.9

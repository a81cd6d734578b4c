"""Tables of docs/results.md are those of the runs that are kept beside it."""

import json
import re
import tarfile
from pathlib import Path

import pytest
from results_page import ARCHIVES, PAGE, TABLE, keep, written

KEPT = sorted(ARCHIVES.glob("*.tar.xz"))


def test_tables_are_those_of_the_runs_kept() -> None:
    page = PAGE.read_text()
    assert written(page) == page
    assert {name for _, name, *_ in TABLE.findall(page)} == {path.name.partition(".")[0] for path in KEPT}


@pytest.mark.parametrize("archive", KEPT, ids=lambda path: path.name)
def test_an_archive_is_what_its_own_runs_give(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "runs", filter="data")
        names = packed.getnames()
    number = keep(tmp_path / archive.name, [tmp_path / "runs"])
    assert (tmp_path / archive.name).read_bytes() == archive.read_bytes()
    assert number == sum(name.endswith("/result.json") for name in names) > 0


def test_what_is_kept_does_not_say_where_runs_were(tmp_path: Path) -> None:
    with tarfile.open(KEPT[0]) as packed:
        packed.extractall(tmp_path / "runs", filter="data")
    path = next((tmp_path / "runs").rglob("result.json"))
    result = json.loads(path.read_text())
    typed = [*result["overrides"], f"data_dir={tmp_path}", "+output_dir='/a b'"]
    path.write_text(json.dumps(result | {"overrides": typed, "command": f"{result['command']} data_dir={tmp_path}"}))
    config = path.parent / ".hydra" / "config.yaml"
    config.write_text(re.sub("data_dir: .*", f"data_dir: {tmp_path}", config.read_text()))
    unfinished = tmp_path / "runs" / "other" / "result.json"
    unfinished.parent.mkdir()
    unfinished.write_text(json.dumps(result | {"status": "failed"}))
    keep(tmp_path / "again.tar.xz", [tmp_path / "runs"])
    assert (tmp_path / "again.tar.xz").read_bytes() == KEPT[0].read_bytes()

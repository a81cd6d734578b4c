"""Tables of docs/results.md are those of the runs that are kept beside it."""

import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from results_page import ARCHIVES, PAGE, TABLE, keep, main, written

from hnet_cl.core.errors import UserError

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


def unpacked(folder: Path) -> Path:
    """Runs that can be kept."""
    with tarfile.open(KEPT[0]) as packed:
        packed.extractall(folder, filter="data")
    return folder


def test_what_cannot_be_kept_leaves_the_archive_as_it_is(tmp_path: Path) -> None:
    archive, runs = tmp_path / "good.tar.xz", unpacked(tmp_path / "runs")
    archive.write_bytes(b"good")
    (tmp_path / "empty").mkdir()
    shutil.copytree(runs, tmp_path / "again")
    path = next(runs.rglob("result.json"))
    bad = json.loads(path.read_text())
    bad["overrides"].append("training.initial_weights=/elsewhere/w.pt")
    for roots, words in (
        ([tmp_path / "empty"], "there is no finished run"),
        ([runs, tmp_path / "again"], "another run is called"),
        ([_changed(runs, tmp_path / "place", json.dumps(bad))], "names a place on this machine"),
        ([_changed(runs, tmp_path / "keys", '{"status": "finished"}')], "is no run that can be kept"),
    ):
        with pytest.raises(UserError, match=words):
            keep(archive, roots)
        assert archive.read_bytes() == b"good"


def _changed(runs: Path, folder: Path, result: str) -> Path:
    shutil.copytree(runs, folder)
    next(folder.rglob("result.json")).write_text(result)
    return folder


def test_files_of_others_are_not_kept(tmp_path: Path) -> None:
    folder = next(unpacked(tmp_path / "runs").rglob("result.json")).parent
    (tmp_path / "secret").write_text("secret")
    (folder / "id_matrix.csv").symlink_to(tmp_path / "secret")
    (folder / "my_matrix.csv").mkdir()
    (folder / "notes.csv").write_text("mine")
    keep(tmp_path / "again.tar.xz", [tmp_path / "runs"])
    assert (tmp_path / "again.tar.xz").read_bytes() == KEPT[0].read_bytes()


@pytest.mark.parametrize("name", ["../evil", "", "a/b", "my-runs"])
def test_names_are_words(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a name of letters, digits and underscores"):
        main(["keep", name, str(tmp_path)])

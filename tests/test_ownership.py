"""What is not ours is never touched, and no run is shown under another one's name."""

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from marks import few, thinned
from processes import folder_of, hnet_cl, in_process, result_of

from hnet_cl.datasets import mnist
from hnet_cl.datasets._fetch import md5_of
from hnet_cl.records.run_folder import clear

QUICK = ("benchmark=toy", "training.iterations=5", "benchmark.num_tasks=2", "target=mlp_10", "device.threads=1")


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a mistake."""
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line.removeprefix("hnet_cl: ")


FOREIGN = {"thesis.tex": "x", "data.csv": "x", "sub/metrics.csv": "x"}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of the user's."""
    for name, text in FOREIGN.items():
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "mine"


@pytest.mark.slow
def test_a_real_process_deletes_nothing_in_the_working_directory(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine)
    before = contents(mine)
    done = hnet_cl("benchmark=toy", "hydra.run.dir=.", "fresh=true")
    assert refused(done).startswith(".: is neither empty nor the folder of a run (there is data.csv); give hydra.run")
    assert contents(mine) == before


@pytest.mark.parametrize("fresh", few(["fresh=true", "fresh=false"], ["fresh=true"]))
@pytest.mark.parametrize(
    "name", thinned(["metrics.csv", "notes.txt", "checkpoint", "accuracy_matrix.png", ".hydra"], 2)
)
def test_a_folder_that_is_not_a_runs_is_refused(name: str, fresh: str, mine: Path) -> None:
    (mine / name / "x").mkdir(parents=True)
    before = contents(mine)
    assert "is neither empty nor the folder of a run" in refused(in_process(*QUICK, "hydra.run.dir=mine", fresh))
    assert contents(mine) == before


KNOWN = '{"status": "finished", "seed": 1, "config_id": "ab", "accuracy_matrix": [], '


@pytest.mark.parametrize(
    "text",
    thinned(["{}", "[1]", "not JSON", KNOWN[:-2] + "}", KNOWN + '"data": 1}', KNOWN + '"data": {}, "schema": "x"}'], 3),
)
def test_a_foreign_result_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "result.json").write_text(text)
    line = refused(in_process(*QUICK, "hydra.run.dir=mine"))
    assert "result.json is not a result of hnet_cl (" in line and line.endswith("; give hydra.run.dir another folder")
    assert (tmp_path / "mine" / "result.json").read_text() == text


def test_the_folder_of_another_hydra_program_is_refused(tmp_path: Path) -> None:
    setup = tmp_path / "mine" / ".hydra"
    setup.mkdir(parents=True)
    (setup / "hydra.yaml").write_text("hydra:\n  job:\n    name: theirs\n")
    before = contents(tmp_path)
    assert "is neither empty nor the folder of a run (there is .hydra)" in refused(
        in_process(*QUICK, "hydra.run.dir=mine")
    )
    assert contents(tmp_path) == before


@pytest.mark.slow
def test_what_a_run_leaves_that_was_killed_before_its_first_result_is_its_own(tmp_path: Path) -> None:
    folder = folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    for path in folder.iterdir():
        if path.name not in (".hydra", ".lock"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("hnet_cl.log", ".result.part-0123456789abcdef.json"):
        (folder / name).touch()
    assert result_of(folder_of(in_process(*QUICK, "hydra.run.dir=r")))["status"] == "finished"
    assert not list(folder.glob(".*.part-*"))


@pytest.mark.parametrize("key", ["hydra.run.dir", "output_dir"])
@pytest.mark.parametrize("value", few(["", "' '"], [""]))
def test_an_empty_folder_name_is_not_the_working_directory(key: str, value: str, mine: Path) -> None:
    before = contents(mine)
    os.chdir(mine)
    line = refused(in_process(*QUICK, f"{key}={value}", "fresh=true"))
    assert line.startswith(f"{key}=")
    assert contents(mine) == before


@pytest.mark.parametrize("key", ["hydra.sweep.dir", "hydra.sweep.subdir"])
def test_an_empty_folder_name_of_a_sweep_is_refused(key: str, mine: Path) -> None:
    os.chdir(mine)
    done = in_process("-m", *QUICK, "seed=1,2", f"{key}=")
    assert done.returncode != 0 and f"{key}=: is empty" in done.stderr
    assert not list(mine.rglob("result.json")) and set(FOREIGN) <= set(contents(mine))


def test_jobs_of_a_sweep_do_not_write_into_foreign_folders(mine: Path) -> None:
    before = contents(mine)
    done = in_process("-m", *QUICK, "seed=1", "hydra.sweep.dir=.", "hydra.sweep.subdir=mine", "fresh=true")
    assert done.returncode == 1 and "mine: is neither empty nor the folder of a run" in done.stderr
    assert contents(mine) == before


def test_fresh_removes_what_the_run_wrote_and_nothing_else(tmp_path: Path) -> None:
    folder = folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    ours = set(contents(folder))
    for name in FOREIGN:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    (folder / "checkpoint" / "notes.txt").write_text("x")
    events = {name for name in ours if name.startswith("events")}
    folder_of(in_process(*QUICK, "hydra.run.dir=r", "fresh=true"))
    after = contents(folder)
    assert all(after[name] == b"x" for name in [*FOREIGN, "checkpoint/notes.txt"])
    assert events and not events & set(after)
    assert {name for name in ours if "event" not in name and "checkpoint" not in name} <= set(after)


@pytest.mark.slow
def test_another_configuration_or_seed_is_not_shown_as_finished(tmp_path: Path) -> None:
    folder = folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    before = contents(folder)
    for other in ("method=ewc", "seed=2", "training.lr=0.5", "target=mlp_100", "fresh=true seed=3"):
        line = refused(in_process(*QUICK, "hydra.run.dir=r", *other.split()))
        assert line.startswith("r: holds another run (toy-cl1-hnet, configuration ") and "seed 1) than the one" in line
        assert contents(folder) == before
    done = in_process(*QUICK, "hydra.run.dir=r", "training.eval_batch_size=7", "training.log_every=1")
    assert "finished already" in done.stdout and contents(folder) == before


@pytest.mark.slow
def test_a_real_process_leaves_a_finished_run_of_another_configuration_as_it_was(tmp_path: Path) -> None:
    folder = folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    before = contents(folder)
    assert refused(hnet_cl(*QUICK, "method=ewc", "hydra.run.dir=r")).startswith("r: holds another run (toy-cl1-hnet, ")
    assert contents(folder) == before


@pytest.mark.slow
def test_an_unfinished_run_of_another_configuration_is_refused(tmp_path: Path) -> None:
    folder = folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    for status in ("running", "failed"):
        result = result_of(folder) | {"status": status}
        (folder / "result.json").write_text(json.dumps(result))
        assert "r: holds another run" in refused(in_process(*QUICK, "method=si", "hydra.run.dir=r"))
        assert result_of(folder) == result


def test_two_seeds_are_not_one_job(tmp_path: Path) -> None:
    done = in_process("-m", *QUICK, "seed=1,2", "hydra.sweep.subdir=same")
    assert "seed=1 and seed=2 are different runs and cannot share a folder" in " ".join(refused(done).split())
    assert not list(tmp_path.rglob("result.json"))


def test_a_result_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    folder = folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    (folder / "result.json").write_text(json.dumps(result_of(folder) | {"schema": 99}))
    assert "made by a newer version of hnet_cl" in refused(in_process(*QUICK, "hydra.run.dir=r"))


def test_a_finished_run_of_an_older_version_is_shown(tmp_path: Path) -> None:
    folder = folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    result = result_of(folder)
    del result["schema"], result["data"]["fixed"], result["data"]["stand_in"]
    result["metrics"] = {key: result["metrics"][key] for key in ("acc", "during", "bwt", "forgetting")}
    (folder / "result.json").write_text(json.dumps(result))
    done = in_process(*QUICK, "hydra.run.dir=r")
    assert "finished already" in done.stdout and "95 % interval of ACC" in done.stdout


@pytest.mark.parametrize(
    "override",
    thinned(
        [
            *("method.name=ewc", "scenario.name=cl3", "benchmark.name=smnist"),
            *("++benchmark.name=../../x", "benchmark.name="),
        ],
        3,
    ),
)
@pytest.mark.parametrize("sweep", few([False, True], [True]))
def test_a_run_cannot_be_called_what_it_is_not(override: str, sweep: bool, tmp_path: Path) -> None:
    done = in_process(*QUICK, override, *(["-m", "seed=1,2"] if sweep else []))
    assert done.returncode != 0
    assert f"{override}: a run is called by the files that it was composed of; leave " in done.stderr
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.slow
def test_a_derived_method_has_the_name_of_its_file(tmp_path: Path) -> None:
    variant = tmp_path / "conf" / "method" / "mine.yaml"
    variant.parent.mkdir(parents=True)
    variant.write_text("# Another strength\ndefaults:\n  - ewc\n  - _self_\nstrength: 3.0\n")
    folder = folder_of(in_process("--config-dir=conf", *QUICK, "method=mine"))
    assert folder.parts[-3] == "toy-cl1-mine" and result_of(folder)["method"] == "mine"
    config = (folder / ".hydra" / "config.yaml").read_text()
    assert "  name: mine\n" in config and "strength: 3.0" in config
    swept = in_process("-m", "--config-dir=conf", *QUICK, "method=mine,ewc")
    assert "2 jobs: 1 finished, 1 finished earlier" in swept.stdout


@pytest.mark.parametrize("name", few(["a b", "x;y", ".hidden"], ["x;y"]))
def test_names_that_are_no_folders_are_refused(name: str, tmp_path: Path) -> None:
    variant = tmp_path / "conf" / "method" / f"{name}.yaml"
    variant.parent.mkdir(parents=True)
    variant.write_text("defaults:\n  - ewc\n  - _self_\n")
    done = in_process("--config-dir=conf", *QUICK, f"method='{name}'")
    assert done.returncode == 2 and not list(tmp_path.rglob("result.json"))


Digits = Callable[[], None]


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Digits:
    """MNIST that cannot be had until the function is called, which puts its files into data_dir."""

    def offline(*_: Any) -> Any:
        raise ConnectionError("no network")

    def put() -> None:
        raw = tmp_path / "data" / "MNIST" / "raw"
        raw.mkdir(parents=True)
        generator = torch.Generator().manual_seed(1)
        for name in mnist.CHECKSUMS:
            size, dims = (600, 3) if "images" in name else (600, 1)
            values = torch.randint(10, (size, 28, 28)[:dims], generator=generator, dtype=torch.uint8)
            head = bytes([0, 0, 8, dims]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
            (raw / name).write_bytes(head + values.numpy().tobytes())
            monkeypatch.setitem(mnist.CHECKSUMS, name, md5_of(raw / name))

    monkeypatch.setattr(mnist, "fetch", offline)
    return put


DIGITS = ("benchmark=smnist", "training.iterations=2", "benchmark.num_tasks=1", "target=mlp_10", "data_dir=data")


@pytest.mark.slow
def test_a_result_on_a_stand_in_counts_until_the_real_data_can_be_had(digits: Digits) -> None:
    folder = folder_of(in_process(*DIGITS))
    first = result_of(folder)
    assert (first["data"]["name"], first["data"]["stand_in"]) == ("mnist-5k", True)
    again = in_process(*DIGITS)
    assert "finished already (data: mnist-5k)" in again.stdout and result_of(folder) == first
    digits()
    folder_of(in_process(*DIGITS))
    second = result_of(folder)
    assert second["data"]["name"] == "mnist" and second["data"]["fixed"] and not second["data"]["stand_in"]
    assert "finished already (data: mnist)" in in_process(*DIGITS).stdout and result_of(folder) == second


@pytest.mark.slow
def test_an_interrupted_run_on_a_stand_in_begins_anew_on_the_real_data(digits: Digits) -> None:
    folder = folder_of(in_process(*DIGITS))
    (folder / "result.json").write_text(json.dumps(result_of(folder) | {"status": "running"}))
    digits()
    folder_of(in_process(*DIGITS))
    assert (result_of(folder)["status"], result_of(folder)["data"]["name"]) == ("finished", "mnist")


def test_a_result_on_real_data_stands_when_they_are_gone(digits: Digits, tmp_path: Path) -> None:
    digits()
    folder = folder_of(in_process(*DIGITS))
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    assert "finished already (data: mnist)" in in_process(*DIGITS).stdout
    assert result_of(folder)["data"]["name"] == "mnist"


@pytest.mark.slow
def test_an_old_result_on_a_stand_in_is_made_anew_too(digits: Digits) -> None:
    folder = folder_of(in_process(*DIGITS))
    result = result_of(folder)
    del result["data"]["fixed"], result["data"]["stand_in"], result["schema"]
    (folder / "result.json").write_text(json.dumps(result))
    assert "finished already (data: mnist-5k)" in in_process(*DIGITS).stdout
    digits()
    folder_of(in_process(*DIGITS))
    assert result_of(folder)["data"]["name"] == "mnist"


@pytest.mark.slow
def test_a_sweep_counts_and_names_stand_ins(digits: Digits) -> None:
    first = in_process("-m", *DIGITS, "seed=1,2")
    assert "2 jobs: 2 finished\n" in first.stdout and "on a stand-in: 2 on mnist-5k" in first.stdout
    again = in_process("-m", *DIGITS, "seed=1,2")
    assert "2 jobs: 2 finished earlier\n" in again.stdout and "on a stand-in: 2 on mnist-5k" in again.stdout
    digits()
    real = in_process("-m", *DIGITS, "seed=1,2,3")
    assert "3 jobs: 3 finished\n" in real.stdout and "stand-in" not in real.stdout


@pytest.mark.slow
def test_data_that_changed_since_are_not_passed_over(tmp_path: Path) -> None:
    """Without published checksums, the same settings can mean other data."""
    package = tmp_path / "points.py"
    package.write_text(POINTS)
    conf = tmp_path / "conf" / "benchmark" / "points.yaml"
    conf.parent.mkdir(parents=True)
    conf.write_text("# @package _global_\n# Points\ndefaults:\n  - toy\n  - _self_\nbenchmark:\n  _target_: points.P\n")
    (tmp_path / "checksum").write_text("one")
    command = ("--config-dir=conf", "benchmark=points", *QUICK[1:])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        folder = folder_of(in_process(*command))
        assert "finished already" in in_process(*command).stdout
        before = contents(folder)
        (tmp_path / "checksum").write_text("two")
        line = refused(in_process(*command))
        assert "on other data (points one) than there are now (points two); fresh=true" in line
        assert contents(folder) == before
        folder_of(in_process(*command, "fresh=true"))
        assert result_of(folder)["data"]["checksum"] == "two"


POINTS = """
from pathlib import Path
from hnet_cl.benchmarks.base import DataIdentity
from hnet_cl.benchmarks.toy import GaussianBlobs

class P(GaussianBlobs):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.data = DataIdentity("points", "file", Path("checksum").read_text())
"""


@pytest.mark.slow
def test_a_kill_while_a_run_is_started_anew_costs_nothing_but_its_old_results(tmp_path: Path) -> None:
    folder = folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    clear(folder, lambda: None)  # and nothing after it
    assert result_of(folder)["status"] == "running"
    folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    assert result_of(folder)["status"] == "finished"


def test_checkpoints_go_before_what_they_belong_to(tmp_path: Path) -> None:
    folder = folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    with pytest.raises(OSError, match="killed"):
        clear(folder, Mock(side_effect=OSError("killed")))
    assert (folder / "metrics.csv").exists() and result_of(folder)["status"] == "running"


def test_the_record_of_a_sweep_of_another_program_is_kept(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "multirun.yaml").write_text("theirs")
    assert in_process("-m", *QUICK, "seed=1").returncode == 0
    assert (tmp_path / "outputs" / "multirun.yaml").read_text() == "theirs"


@pytest.mark.slow
def test_packed_files_beside_are_nobodys_business(tmp_path: Path) -> None:
    """What a user puts beside the results of his run stays."""
    folder = folder_of(in_process(*QUICK, "hydra.run.dir=r"))
    (folder / "old.result.json.gz").write_bytes(gzip.compress(b"{}"))
    folder_of(in_process(*QUICK, "hydra.run.dir=r", "fresh=true"))
    assert gzip.decompress((folder / "old.result.json.gz").read_bytes()) == b"{}"

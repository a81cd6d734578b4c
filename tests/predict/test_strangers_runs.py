"""Run folders that are a stranger's: none of their code runs, and nothing in them can keep predict busy."""

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import run
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from hnet_cl.config.conf_files import conf_dir
from hnet_cl.config.resolvers import plain
from hnet_cl.predict.cli import main

NET = """\
from pathlib import Path
from hnet_cl.targets.mlp import MLP

Path("imported").touch()


class Net(MLP):
    pass
"""
SMALL = ("benchmark=toy", "method=finetune", "scenario=cl2", "training.iterations=2", "benchmark.num_tasks=2")


def trained(folder: Path, *overrides: str) -> Path:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = plain(compose("config", [*SMALL, *overrides]))
    folder.mkdir(parents=True)
    run(config, folder, [])
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of classes of hnet_cl."""
    return trained(tmp_path_factory.mktemp("own") / "run")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a run, the network's module, and modules that would take the place of others."""
    place = tmp_path_factory.mktemp("place")
    (place / "theirs").mkdir()
    (place / "theirs" / "net.py").write_text(NET)
    (place / "theirs" / "__main__.py").write_text(NET)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.syspath_prepend(place)
        trained(place / "run", "target._target_=theirs.net.Net")
        for name in [name for name in sys.modules if name.partition(".")[0] == "theirs"]:
            del sys.modules[name]
    (place / "hnet_cl").mkdir()
    (place / "hnet_cl" / "theirs.py").write_text(NET)
    for name in ("torch", "yaml", "numpy", "opt_einsum"):
        (place / f"{name}.py").write_text('open("imported", "w")\nraise SystemExit("shadowed")\n')
    np.save(place / "points.npy", np.zeros((2, 2), np.float32))
    return place


@pytest.fixture(autouse=True)
def _as_it_was(place: Path) -> Iterator[None]:
    (place / "imported").unlink(missing_ok=True)
    path = list(sys.path)
    yield
    sys.path[:] = path
    torch.set_flush_denormal(False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "theirs"]:
        del sys.modules[name]


def process(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m hnet_cl.predict` in that working directory."""
    installed = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "hnet_cl.predict", "run=run", "input=points.npy", *words],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def changed(folder: Path, to: Path, key: str, value: Any) -> Path:
    """A copy of a run folder with another setting."""
    shutil.copytree(folder, to)
    config = OmegaConf.load(to / ".hydra" / "config.yaml")
    OmegaConf.update(config, key, value, merge=False)
    OmegaConf.save(config, to / ".hydra" / "config.yaml")
    return to


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(words)
    out, err = capsys.readouterr()
    assert (end.value.code, out, err.count("\n")) == (2, "", 1)
    assert all(char.isprintable() for char in err[:-1]) and len(err) < 1100
    return err.removeprefix("hnet_cl.predict: ").rstrip("\n")


class TestCode:
    @pytest.mark.slow
    def test_a_process_runs_none_of_it(self, place: Path) -> None:
        done = process(place)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"hnet_cl.predict: {Path('run', '.hydra', 'config.yaml')}: target._target_=theirs.net.Net: not of hnet_cl, "
            "and to import it runs its code; if you trust it, add trust=theirs\n"
        )
        assert not (place / "imported").exists()

    @pytest.mark.slow
    def test_a_process_that_is_told_to_trust_it(self, place: Path) -> None:
        done = process(place, "trust=theirs")
        assert (done.returncode, done.stderr) == (0, "")
        assert [row["file"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["points.npy[0]", "points.npy[1]"]
        assert (place / "imported").exists()

    @pytest.mark.parametrize("trust", ["theirs.net", "other,theirs", "theirs.net.Net"])
    def test_trust(self, trust: str, place: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(place)
        main(["run=run", "input=points.npy", f"trust={trust}"])
        assert capsys.readouterr().out.count("\n") == 3

    @pytest.mark.parametrize("trust", [[], ["trust=the"], ["trust=theirs.ne"], ["trust=theirs.net.N"], ["trust=hnet"]])
    def test_trust_in_something_else(
        self, trust: list[str], place: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(place)
        monkeypatch.syspath_prepend(place)
        assert "target._target_=theirs.net.Net: not of hnet_cl" in refused(
            capsys, "run=run", "input=points.npy", *trust
        )
        assert not (place / "imported").exists()

    def test_our_functions_build_no_networks(
        self, place: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One of them imports what it is given by name."""
        folder = changed(place / "run", tmp_path / "run", "target._target_", "hnet_cl.datasets._frozen.made")
        monkeypatch.chdir(place)
        monkeypatch.syspath_prepend(place)
        line = refused(capsys, f"run={folder}", "input=points.npy")
        assert "target._target_=hnet_cl.datasets._frozen.made: is no network" in line
        assert not (place / "imported").exists()

    @pytest.mark.parametrize("trust", ["", "a,", ",a", "a b", "theirs/net", "a..b", "*"])
    def test_trust_in_nothing(self, trust: str, own: Path, capsys: Any) -> None:
        line = refused(capsys, f"run={own}", "input=x", f"trust={trust}")
        assert line == f"trust={trust}: give packages or modules, as my_package or my_package.networks"

    @pytest.mark.parametrize(
        "path", ["theirs.__main__.Net", "__main__.Net", "venv.__main__.Net", "theirs.__main__.x.Net"]
    )
    def test_programs_are_never_imported(
        self, path: str, place: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = changed(place / "run", tmp_path / "run", "target._target_", path)
        monkeypatch.chdir(place)
        monkeypatch.syspath_prepend(place)
        line = refused(capsys, f"run={folder}", "input=points.npy", "trust=theirs,venv,__main__")
        assert f"target._target_={path}: a module __main__ is a program" in line
        assert not (place / "imported").exists()

    @pytest.mark.parametrize(
        "path",
        ["hnet_cl.theirs.Net", "hnet_cl.../theirs.Net", "hnet_cl/theirs.Net", ".theirs.Net", "\uff48net_cl.x.Net"],
    )
    def test_what_only_looks_like_hnet_cl(
        self, path: str, place: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = changed(place / "run", tmp_path / "run", "target._target_", path)
        monkeypatch.chdir(place)
        monkeypatch.syspath_prepend(place)
        assert f"target._target_={path}: " in refused(capsys, f"run={folder}", "input=points.npy")
        assert not (place / "imported").exists()

    def test_all_strange_classes_are_named_before_any_is_imported(
        self, place: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = changed(place / "run", tmp_path / "run", "method._target_", "other.Method")
        monkeypatch.chdir(place)
        monkeypatch.syspath_prepend(place)
        line = refused(capsys, f"run={folder}", "input=points.npy")
        assert "method._target_=other.Method, target._target_=theirs.net.Net: not of hnet_cl" in line
        assert line.endswith("add trust=other,theirs")
        assert not (place / "imported").exists()


@pytest.fixture
def copy(own: Path, tmp_path: Path) -> Path:
    """A run folder that may be spoiled."""
    return shutil.copytree(own, tmp_path / "run")


class TestFiles:
    @pytest.mark.parametrize("name", ["result.json", ".hydra/config.yaml"])
    @pytest.mark.parametrize("kind", ["pipe", "zeros", "huge"])
    def test_of_another_kind(self, kind: str, name: str, copy: Path, capsys: Any) -> None:
        (copy / name).unlink()
        if kind == "pipe":
            os.mkfifo(copy / name)
        elif kind == "zeros":
            (copy / name).symlink_to("/dev/zero")
        else:
            (copy / name).touch()
            os.truncate(copy / name, 1 << 40)
        line = refused(capsys, f"run={copy}", "input=x")
        assert line.startswith(f"{copy / name}: ")
        assert ("has more than" if kind == "huge" else "is no regular file") in line

    @pytest.mark.parametrize("kind", ["pipe", "zeros", "huge"])
    def test_checkpoint_of_another_kind(self, kind: str, copy: Path, capsys: Any) -> None:
        (path,) = (copy / "checkpoint").iterdir()
        path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "zeros":
            path.symlink_to("/dev/zero")
        else:
            path.touch()
            os.truncate(path, 1 << 43)
        line = refused(capsys, f"run={copy}", "input=x")
        assert line.startswith(f"{path}: checkpoint cannot be used (")
        assert ("has more than" if kind == "huge" else "is no regular file") in line

    @pytest.mark.parametrize("kind", ["claims", "compressed", "code"])
    def test_checkpoint_with_another_content(self, kind: str, copy: Path, capsys: Any) -> None:
        (path,) = (copy / "checkpoint").iterdir()
        state = torch.load(path, weights_only=True)
        path.unlink()
        name = next(name for name, value in state["learner"].items() if isinstance(value, torch.Tensor))
        if kind == "claims":
            state["learner"][name] = torch.zeros(1).expand(10**14)
        if kind == "code":
            state["learner"][name] = Path("x")
        file = io.BytesIO()
        torch.save(state, file)
        content = recompressed(file.getvalue()) if kind == "compressed" else file.getvalue()
        digest = hashlib.sha256(content).hexdigest()[:16]
        (copy / "checkpoint" / f"after-2-tasks.{digest}.pt").write_bytes(content)
        line = refused(capsys, f"run={copy}", "input=x")
        assert "checkpoint cannot be used (" in line and "weights_only" not in line

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("a: &a [x, x]\nb: &b [*a, *a]\n", "refers to parts of itself"),
            ("a: ${oc.env:HOME}\n", "is not resolved"),
            ('a: "\\x24{b}${b}"\nb: ${a}\n', "is not resolved"),
            ("a: !!python/object/apply:os.mkdir [made]\n", "cannot be read as a configuration (could not determine"),
            ("[" * 10_000, "is nested more than 32 deep"),
            ("- a\n", "it is no mapping"),
            ("a: \x1b[31m\n", "cannot be read as a configuration"),
        ],
    )
    def test_configuration(self, text: str, reason: str, copy: Path, capsys: Any) -> None:
        (copy / ".hydra" / "config.yaml").write_text(text)
        line = refused(capsys, f"run={copy}", "input=x")
        assert line.startswith(f"{copy / '.hydra' / 'config.yaml'}: ") and reason in line

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("seed", "1\n\x1b[2J"),
            ("benchmark.name", ["x" * 5000] * 3),
            ("device", [1]),
            ("device", None),
            ("target", {"_target_": "hnet_cl.targets.mlp.MLP\n.x"}),
            ("more", {str(number): number for number in range(2000)}),
            ("training", 7),
            ("method", {"_target_": 5}),
        ],
    )
    def test_settings(self, key: str, value: Any, own: Path, tmp_path: Path, capsys: Any) -> None:
        folder = changed(own, tmp_path / "run", key, value)
        with pytest.raises(SystemExit):
            main([f"run={folder}", "input=x"])
        lines = capsys.readouterr().err.splitlines()
        assert all(line.startswith(f"hnet_cl.predict: {folder / '.hydra' / 'config.yaml'}: ") for line in lines)
        assert all(line.isprintable() and len(line) < 1100 for line in lines)

    @pytest.mark.parametrize(("key", "value"), [("target.hidden", [10**6, 10**6, 10**6]), ("target.hidden", [2**62])])
    def test_networks_larger_than_any_memory(
        self, key: str, value: Any, own: Path, tmp_path: Path, capsys: Any
    ) -> None:
        folder = changed(own, tmp_path / "run", key, value)
        assert refused(capsys, f"run={folder}", "input=x").startswith(str(folder))

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("in_shape", [10**30]),
            ("in_shape", []),
            ("in_shape", [-1]),
            ("in_shape", [2] * 100),
            ("tasks", []),
            ("tasks", [{"name": "x", "classes": ["a", "b"]}]),
            ("tasks", [{"name": "x", "classes": ["a", "b"]}] * 3),
            ("tasks", [{"name": "x" * 10**7, "classes": ["a", "b"]}] * 2),
            ("tasks", [{"name": "x", "classes": []}] * 2),
            ("data", {"name": "\x1b]0;x\x07" * 10**6, "checksum": "a"}),
            ("status", "\x1b[2J\n" * 10**6),
            ("data", 7),
        ],
    )
    def test_result(self, key: str, value: Any, copy: Path, capsys: Any) -> None:
        result = json.loads((copy / "result.json").read_text())
        (copy / "result.json").write_text(json.dumps({**result, key: value}))
        assert str(copy) in refused(capsys, f"run={copy}", "input=x")


def recompressed(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return file.getvalue()


class TestNames:
    def test_classes_that_are_formulas_or_commands(self, copy: Path, capsys: Any, tmp_path: Path) -> None:
        result = json.loads((copy / "result.json").read_text())
        names = ["=1+1", "\x1b[31mred"]
        result["tasks"] = [task | {"classes": names} for task in result["tasks"]]
        (copy / "result.json").write_text(json.dumps(result))
        np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(64, 2)).astype(np.float32))
        main([f"run={copy}", f"input={tmp_path / 'x.npy'}"])
        labels = {row["label"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
        assert labels == {"'=1+1", r"\x1b[31mred"}

    @pytest.mark.parametrize("output", [True, False])
    def test_files_that_are_formulas_or_lines(
        self, output: bool, own: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        names = [
            "=cmd.npy",
            "-1.npy",
            "a\nb,2.npy",
            "a\r.npy",
            "\x1b[2J.npy",
            'say "x".npy',
            "@x.npy",
            "day\u202f1.npy",
        ]
        for name in names:
            np.save(name, np.zeros((1, 2), np.float32))
        main([f"run={own}", *(f"input={name}" for name in names), *["output=answers.csv"] * output])
        out = capsys.readouterr().out
        text = Path("answers.csv").read_bytes().decode() if output else out
        assert text.count("\n") == len(names) + 1 and "\r" not in text and "\x1b" not in text
        assert [row["file"] for row in csv.DictReader(io.StringIO(text, newline=""), strict=True)] == [
            "'=cmd.npy[0]",
            "'-1.npy[0]",
            r"a\nb,2.npy[0]",
            r"a\r.npy[0]",
            r"\x1b[2J.npy[0]",
            'say "x".npy[0]',
            "'@x.npy[0]",
            "day\u202f1.npy[0]",
        ]

    def test_complaints_are_lines(self, own: Path, tmp_path: Path, capsys: Any) -> None:
        with pytest.raises(SystemExit):
            main([f"run={own}", f"input={tmp_path}/a\n\x1b[2J.npy"])
        assert capsys.readouterr().err == (
            f"hnet_cl.predict: {tmp_path}/a\\n\\x1b[2J.npy: cannot be read (No such file or directory)\n"
        )

    def test_a_list_longer_than_a_file_name(self, own: Path, tmp_path: Path, capsys: Any) -> None:
        np.save(tmp_path / "x.npy", np.zeros((1, 2), np.float32))
        main([f"run={own}", f"input={','.join([str(tmp_path / 'x.npy')] * 100)}"])
        assert capsys.readouterr().out.count("\n") == 101

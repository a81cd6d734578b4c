"""Every command in README and the documentation is one that works as printed."""

import re
import tomllib
from pathlib import Path

import pytest
import torch
from documents import ROOT, blocks, commands, pages, text_of, write_files
from in_process import command

from hnet_cl import extending
from hnet_cl.config.compare_words import sweep_words
from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.help_text import GROUPS
from hnet_cl.plane.options import parse as parse_plane
from hnet_cl.predict.options import parse
from hnet_cl.report.cli import _parser

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OTHERS = ("source .venv/bin/activate", "tensorboard --logdir outputs", "mkdocs serve")
VIEWERS = ("mlflow ui --backend-store-uri sqlite:///outputs/mlflow.db",)
DONE = {"seed": "1", "seeds": "1", "hydra.sweeper.n_trials": "1"}  # one job tells what many of them would


def hnet_cl(page: str) -> list[list[str]]:
    """The arguments of all commands `python -m hnet_cl` of a page, also of those that torchrun starts."""
    lines = [["python", *words[2:]] if words[0] == "torchrun" else words for words in commands(page)]
    return [words[3:] for words in lines if words[:3] == ["python", "-m", "hnet_cl"]]


def shortened(words: list[str]) -> list[str]:
    """The same command with one job: of values with commas between, all of them choices there are, the last one."""
    found = []
    for word in words:
        key, _, value = word.partition("=")
        if "," in value and re.fullmatch(r"[\w.,-]+", value):
            names = {*value.split(",")} - {"anchored"}
            assert key not in GROUPS or names <= choices(conf_dir(), key).keys(), word
            value = value.rpartition(",")[2]
        found.append(f"{key}={DONE.get(key, value)}" if value else word)
    return found


def check(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Composes and checks every command of a page, up to where its first job would start."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)  # what optimisers then ask
    monkeypatch.setattr(extending, "require_former", lambda config: None)  # no run is made that could be extended
    monkeypatch.syspath_prepend(folder)
    write_files(page, folder)
    for words in hnet_cl(page):
        if "dataset=folder" in words and "folder" not in choices(conf_dir(), "dataset"):
            continue
        for key, _, value in (word.partition("=") for word in words):
            if key == "training.initial_weights":
                (folder / value).touch()  # only its checksum is asked for before a run starts
        done = command(folder, *shortened(words))
        assert done.code == (2 if "method.strenght=1" in words else 0), (words, done.err)
        assert done.jobs or {"--help", "--cfg", "method.strenght=1"} & {*words}, words


def test_the_commands_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(hnet_cl("README.md")) >= 8
    check("README.md", tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages()[1:] if hnet_cl(page)])
def test_the_commands_of_a_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(page, tmp_path, monkeypatch)


@pytest.mark.parametrize("page", pages())
def test_every_program_is_known(page: str) -> None:
    for words in commands(page):
        line = " ".join(words)
        if words[:2] == ["pip", "install"]:
            installable(words[2:])
        elif words[0] == "bash":
            assert re.search(rf"^  {words[2]}\)", text_of(words[1]), re.MULTILINE), line
        elif words[:2] == ["python", "-m"]:
            arguments(words[2], words[3:])
        elif words[0] == "torchrun":
            assert re.fullmatch(r"--nproc-per-node=\d", words[1]) and words[2:4] == ["-m", "hnet_cl"], line
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file(), line
        else:
            assert line in (*OTHERS, *VIEWERS), line


def installable(words: list[str]) -> None:
    """The project from its folder, with extras that there are."""
    extras = PROJECT["optional-dependencies"]
    for word in words:
        found = re.fullmatch(r"\.(?:\[([\w,]+)\])?", word)
        assert found or word in ("-e", "--no-deps", "-c", "constraints.txt"), words
        assert not found or not found[1] or {*found[1].split(",")} <= extras.keys(), words


def arguments(module: str, words: list[str]) -> None:
    """What the module's own reader of its command line accepts."""
    if module == "hnet_cl.report":
        assert words == ["--help"] or _parser().parse_args(words)
    elif module == "hnet_cl.predict":
        assert words == ["--help"] or parse(words)
    elif module == "hnet_cl.plane":
        assert words == ["--help"] or parse_plane(words)
    elif module == "hnet_cl.compare":
        assert words == ["--help"] or sweep_words(words)
    else:
        assert module in ("hnet_cl", "hnet_cl.data"), module


@pytest.mark.parametrize("page", pages())
def test_every_block_is_of_a_kind_that_is_tried(page: str) -> None:
    for block in blocks(page):
        assert block.language in ("sh", "python", "yaml", "text", "bibtex") or block.text.startswith("$ "), block
        assert block.language != "yaml" or block.text.startswith("# my_conf/"), block

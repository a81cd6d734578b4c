"""A run is composed once, and its configuration is the one that Hydra makes of it by composing twice."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from in_process import command
from omegaconf import DictConfig, OmegaConf

from hnet_cl import app


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modes in which configurations are composed from now on."""
    modes: list[str] = []
    usual = ConfigLoaderImpl._load_configuration_impl

    def counted(*arguments: Any, **keywords: Any) -> DictConfig:
        modes.append(keywords["run_mode"].name)
        return usual(*arguments, **keywords)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", counted)
    return modes


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The configurations, with Hydra's own part, that runs are given from now on."""
    found: list[str] = []
    monkeypatch.setattr(app.CheckFirst, "on_run_start", lambda _, config, **__: found.append(OmegaConf.to_yaml(config)))
    return found


def test_a_run_is_composed_once_and_as_ever(
    composed: list[str], given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ("benchmark=toy", "method=ewc", "hydra.job.name=x", "training.lr=0.01")
    assert command(tmp_path, *typed).code == 0
    assert composed == ["RUN"]
    monkeypatch.setattr(app, "composed_once", contextlib.nullcontext)
    assert command(tmp_path, *typed).code == 0
    assert composed == ["RUN", "MULTIRUN", "RUN"]
    once, twice = given
    assert once == twice and "hydra.mode=RUN" in once and "name: x" in once


@pytest.mark.parametrize(
    ("typed", "modes", "jobs"),
    [
        (("hydra.mode=RUN",), ["RUN", "RUN"], 1),
        (("hydra.mode=MULTIRUN", "seed=1,2"), ["RUN", "MULTIRUN", "MULTIRUN", "RUN"], 2),
        (("-m", "seed=1,2"), ["RUN", "MULTIRUN", "MULTIRUN", "RUN"], 2),
        (("seed=1,2",), ["RUN", "MULTIRUN"], 0),
        (("nothing=1",), ["RUN", "MULTIRUN", "RUN"], 0),  # the last one to say which keys there are
    ],
)
def test_anything_else_is_hydras_own(
    typed: tuple[str, ...], modes: list[str], jobs: int, composed: list[str], tmp_path: Path
) -> None:
    ended = command(tmp_path, "benchmark=toy", *typed)
    assert composed == modes
    assert (ended.code, len(ended.jobs)) == (0 if jobs else 2, jobs), ended.err

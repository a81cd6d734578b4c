"""Launchers by name: what is installed is made, what is not is named with its extra."""

from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.core.errors import UserError
from hnet_cl.sweeps import launchers
from hnet_cl.sweeps.launchers import make_launcher


def made(choice: str) -> Any:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("config", [f"hydra/launcher={choice}"], return_hydra_config=True)
    return make_launcher(None, None, config)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choice", "extra"), [("local", "joblib"), ("slurm", "slurm"), ("slurm_local", "slurm"), ("on_ray", "ray")]
)
def test_a_missing_package_is_named(choice: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "_installed", lambda plugin: False)
    with pytest.raises(UserError) as error:
        made(choice)
    assert str(error.value) == f"hydra/launcher={choice}: is not installed; pip install 'hnet-cl[{extra}]'"


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("local", "JoblibLauncher"),
        ("slurm", "SlurmLauncher"),
        ("slurm_local", "LocalLauncher"),
        ("one_process", "OneProcessLauncher"),
    ],
)
def test_every_preset_makes_its_launcher(choice: str, name: str) -> None:
    assert type(made(choice)).__name__ == name
    assert choice in choices(conf_dir(), "hydra/launcher")


def test_what_is_installed() -> None:
    assert launchers._installed("hydra_joblib_launcher")
    assert not launchers._installed("hydra_nonesuch_launcher")

"""Composes the configuration of one run inside another program, which may use Hydra itself."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import OmegaConf

from hnet_cl.config.arguments import refuse_long_numbers, refuse_names, refuse_subdir, run_folder
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.config.messages import explain, is_mistake
from hnet_cl.config.overrides import parse, prepared
from hnet_cl.config.presets import preset_of, target_of
from hnet_cl.config.resolvers import named, setup_files
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown


@dataclass(frozen=True)
class Job:
    """One requested run.

    Attributes:
        settings: its resolved configuration.
        folder: its run folder.
        overrides: as given.
        setup: the texts of the files in its folder `.hydra`, by file name.
        preset: the name of its preset; None if there is none.
        target: the name of the target network.
    """

    settings: Mapping[str, Any]
    folder: Path
    overrides: Sequence[str]
    setup: Mapping[str, str]
    preset: str | None
    target: str | None


def compose_job(overrides: Sequence[str], config_dir: Path | None) -> Job:
    """Composes the run that the overrides ask for; Hydra's global state is restored afterwards.

    Args:
        overrides: KEY=VALUE, as on the command line; no flags.
        config_dir: a folder of the user's own yaml groups, as for `--config-dir`.

    Raises:
        UserError: the overrides or the folder are wrong; the message has one line for each mistake.
    """
    flags = [] if config_dir is None else [f"--config-dir={config_dir}"]
    with _hydra_as_before():
        try:
            refuse_long_numbers(overrides)
            _refuse_flags_and_sweeps(overrides)
            if config_dir is not None and not config_dir.is_dir():
                raise UserError(f"config_dir={config_dir}: no such folder")
            given = prepared([*overrides, *flags])
            return _job(given[: len(given) - len(flags)], config_dir)
        except Exception as error:
            if not is_mistake(error):
                raise
            raise UserError(explain(error, [*overrides, *flags])) from error


def _job(overrides: Sequence[str], config_dir: Path | None) -> Job:
    searched = [] if config_dir is None else [f"hydra.searchpath=['file://{config_dir.resolve()}']"]
    with initialize_config_dir(str(conf_dir()), job_name="hnet_cl", version_base="1.3"):
        config = compose("config", [*overrides, *searched], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        refuse_names(overrides)
        refuse_subdir(config.hydra.output_subdir)
        choices = config.hydra.runtime.choices
        settings = named(config, choices)
        folder = run_folder(config.hydra.run.dir, "hydra.run.dir")
        setup = setup_files(settings, OmegaConf.create({"hydra": config.hydra}), overrides)
    return Job(settings, folder, overrides, setup, preset_of(choices), target_of(choices, overrides))


def _refuse_flags_and_sweeps(overrides: Sequence[str]) -> None:
    for override in overrides:
        if override.startswith("-"):
            raise UserError(f"{override}: is a flag of the command line; give KEY=VALUE (and config_dir=DIR)")
        if parse(override).is_sweep_override():
            raise UserError(f"{shown(override)}: is several values; call run for each, or give a list, as KEY=[1,2]")


@contextmanager
def _hydra_as_before() -> Iterator[None]:
    """Clears Hydra's global state, so that Hydra can be initialised inside, and restores its singletons afterwards."""
    hydra, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = hydra
        HydraConfig.instance().cfg = config


def swept_by(experiment: str) -> dict[str, list[str]]:
    """Returns the values over which a shipped experiment sweeps, by key."""
    params = OmegaConf.load(conf_dir() / "experiment" / f"{experiment}.yaml").hydra.sweeper.params
    return {str(key): str(values).split(",") for key, values in params.items()}


def as_override(key: str, value: Any) -> str:
    """Returns `key=value` as it would be typed, for a Python value.

    A string is read as on the command line: "[10,10]" is a list, and the name of a file is a choice. A `Path` is quoted
    if necessary.
    """
    return f"{key}={_typed(value)}"


def _typed(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_typed(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_typed, value))}]"
    if isinstance(value, PurePath) and not re.fullmatch(r"[\w./-]+", str(value)):
        return str(QuotedString(str(value), Quote.single).with_quotes())
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)

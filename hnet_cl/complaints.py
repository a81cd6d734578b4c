"""Hydra's errors in one line: the key, what is wrong with it, and what is allowed."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hnet_cl.conf_files import conf_dir, own_folders
from hnet_cl.errors import UserError
from hnet_cl.files import refusal
from hnet_cl.suggest import nearest


def explain(error: Exception, arguments: Sequence[str]) -> str:
    """What the user should read instead of a traceback; `arguments` are the command line's."""
    text = str(error)
    if isinstance(error, UserError):
        return text
    if ours := re.match(r"UserError raised while resolving interpolation: (.*)", text):
        return ours[1]
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name}: no such choice{nearest(name, error.options)}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: cannot be read as KEY=VALUE ({text.splitlines()[0]})"
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown:
        key = unknown[1]
        known = _known_keys(key, arguments)
        if key not in known:
            return f"{key}: no such key{nearest(key, known)}"
    if isinstance(error, OSError):
        return refusal(error)
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def _known_keys(unknown: str, arguments: Sequence[str]) -> list[str]:
    """All keys of the configuration that the other arguments make, as far as these are right."""
    typed = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    rest = [override for override in typed if not override.lstrip("+~").startswith(unknown)]
    if folders := [f"file://{folder.resolve()}" for folder in own_folders(arguments)]:
        rest.append(f"hydra.searchpath=[{','.join(folders)}]")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for overrides in (rest, []):
            try:
                return list(_keys(compose("config", overrides, return_hydra_config=unknown.startswith("hydra."))))
            except (HydraException, OmegaConfBaseException):
                continue
    return []


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    for key in node:
        yield f"{prefix}{key}"
        value = node._get_node(key)
        if isinstance(value, DictConfig) and not OmegaConf.is_missing(node, key):
            yield from _keys(value, f"{prefix}{key}.")

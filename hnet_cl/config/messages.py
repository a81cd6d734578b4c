"""Turns Hydra's errors into one line each: the key, what is wrong with it, and what is allowed."""

import re
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hnet_cl.config.arguments import NAMES
from hnet_cl.config.conf_files import conf_dir, own_folders
from hnet_cl.config.help_text import INNER
from hnet_cl.config.typed_parts import as_typed
from hnet_cl.core.atomic_files import refusal
from hnet_cl.core.errors import UserError
from hnet_cl.core.older import advice_on
from hnet_cl.core.plain_text import shown
from hnet_cl.core.suggest import elsewhere, nearest_key, offered

CONFIGURING = ("/hydra/", "/omegaconf/", "/antlr4/", "/yaml/", "/logging/")  # packages that only read configurations


def is_mistake(error: BaseException) -> bool:
    """Tells whether the user can mend the error.

    Any error from inside Hydra and its parsers counts, since some wrong input makes these fail in unforeseen ways.
    """
    if isinstance(error, UserError | OSError | HydraException | OmegaConfBaseException | YAMLError | RecursionError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    place = frames[-1].filename.replace("\\", "/") if frames else ""
    return isinstance(error, Exception) and any(package in place for package in CONFIGURING)


def explain(error: BaseException, arguments: Sequence[str]) -> str:
    """Returns the message that the user gets instead of a traceback; `arguments` are those of the command line."""
    text = str(error)
    if isinstance(error, UserError):
        return as_typed(text, arguments)
    if ours := re.match(r"UserError raised while resolving interpolation: (.*)", text):
        return ours[1]
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={shown(name)}: no such choice{offered(name, error.options)}"
    if choice := re.match(r"Could not override '(\S+/\S+)'\.(?:\nDid you mean to override (\S+)\?)?", text):
        return _no_such_part(choice[1], choice[2], arguments)
    if unknown := re.match(r"Could not (?:override|delete from config\.) '([^']+)'", text):
        return _no_such_key(unknown[1].rpartition("@")[2], arguments) or _words(error)
    if circle := re.search(r"Recursive interpolation detected\s+full_key: (\S+)", text):
        return f"{circle[1]}: refers to itself{_check(arguments, '${')}"
    if several := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '(.*?)'(?:\n1\.| req)", text, re.DOTALL):
        return f"{shown(several[1])}: is several values; add -m to run one after another, or give a list, as KEY=[1,2]"
    if isinstance(error, RecursionError):
        return f"the configuration refers to itself, or is nested too deeply{_check(arguments, '${')}"
    if isinstance(error, OSError):
        return refusal(error)
    known = isinstance(error, HydraException | OmegaConfBaseException)
    return _words(error) if known else _surprise(error, arguments)


def _words(error: BaseException) -> str:
    """Joins the messages of an error and of its cause into one line."""
    said = [str(one) for one in (error, error.__cause__) if one is not None]
    lines = [line.strip() for text in said for line in text.splitlines() if line.strip()]
    return " ".join(shown(line) for line in lines if not line.startswith("object_type="))


def _surprise(error: BaseException, arguments: Sequence[str]) -> str:
    """Describes an error that Hydra did not foresee, mostly one without a helpful message."""
    if isinstance(error, ValueError) and str(error):
        return _words(error) + _check(arguments, "hydra.")
    said = "" if isinstance(error, AssertionError) else f": {error}"  # the text of an assertion is for programmers
    reason = shown(f"{type(error).__name__}{said}")
    return f"the configuration cannot be used ({reason}){_check(arguments, 'hydra.') or _check(arguments, '')}"


def _check(arguments: Sequence[str], suspicious: str) -> str:
    found = [shown(argument) for argument in arguments if suspicious in argument and "=" in argument]
    return f"; check {', '.join(found)}" if found else ""


def _no_such_key(key: str, arguments: Sequence[str]) -> str | None:
    """Returns a line on an unknown key, with the choice that lacks it if one was typed; None if the key exists."""
    known = _known_keys(key, arguments)
    if key in known:
        return None
    if advice := advice_on(key, known):
        return f"{key}: {advice}"
    group = re.split("[./]", key)[0]
    chosen = (
        [argument for argument in arguments if argument.lstrip("+").startswith(f"{group}=")] if group != key else []
    )
    whose = f"{chosen[-1]} has no such key" if chosen else "no such key"
    groups = [*dict.fromkeys(name.partition(".")[0] for name in known if "." in name), *INNER]
    value = next((value for typed, _, value in (one.partition("=") for one in arguments) if typed == key), None)
    advice = elsewhere(key, value, groups) or ("" if "/" in key else nearest_key(key, known))
    return f"{shown(key)}: {whose}{advice}"


def _no_such_part(group: str, other: str | None, arguments: Sequence[str]) -> str:
    """Returns a line on a choice inside another one (`method/part=NAME`), which lacks this part or has it elsewhere."""
    whole = group.partition("/")[0]
    chosen = [argument for argument in arguments if argument.startswith(f"{whole}=")]
    advice = f"; did you mean {other.partition('@')[2] or other}=NAME?" if other else ""
    return f"{shown(group)}: {shown(chosen[-1]) if chosen else f'the {whole}'} has no such part{advice}"


def _known_keys(unknown: str, arguments: Sequence[str]) -> list[str]:
    """Returns all keys of the configuration composed of the other arguments, or of those that can be composed.

    All of them are tried first, then only the choices of files, then none.
    """
    typed = [argument for argument in arguments if "=" in argument and not argument.startswith("-")]
    rest = [override for override in typed if not override.lstrip("+~").startswith(unknown)]
    choices = [override for override in rest if "." not in override.partition("=")[0]]
    searched = [f"file://{folder.resolve()}" for folder in own_folders(arguments)]
    path = [f"hydra.searchpath=[{','.join(searched)}]"] if searched else []
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            for overrides in (rest, choices, []):
                try:
                    whole = compose("config", [*overrides, *path], return_hydra_config=unknown.startswith("hydra."))
                    return [key for key in _keys(whole) if key not in NAMES]
                except (HydraException, OmegaConfBaseException):
                    continue
        return []
    finally:
        GlobalHydra.instance().hydra = outer  # the next job of a sweep is composed with it


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    for key in node:
        yield f"{prefix}{key}"
        value = node._get_node(key)
        if isinstance(value, DictConfig) and not OmegaConf.is_missing(node, key):
            yield from _keys(value, f"{prefix}{key}.")

"""One line for each of pydantic's errors in a configuration."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from hnet_cl.config.help_text import INNER
from hnet_cl.config.typed_parts import NETWORK
from hnet_cl.core.chosen import TARGET, Chosen, settings_of
from hnet_cl.core.importing import import_named
from hnet_cl.core.older import advice_on
from hnet_cl.core.plain_text import shown
from hnet_cl.core.suggest import elsewhere, nearest_key


def line(model: type[BaseModel], config: Mapping[str, Any], error: Any) -> str:
    """Formats one of pydantic's errors as one line: key, value, what is wrong, what is allowed."""
    path = _path(error["loc"], config)
    key = ".".join(path)
    if error["type"] == "missing":
        typed = f"{NETWORK}.{key.removeprefix('target.')}" if path[0] == "target" else f"+{key}"
        return f"{key}: is missing; give {typed}=VALUE"
    if error["type"] == "extra_forbidden":
        beside = [key.removesuffix(path[-1]) + name for name in _keys(model, path[:-1], config)]
        if advice := advice_on(key, beside):
            return f"{key}: {advice}"
        groups = [name for name, node in config.items() if isinstance(node, Mapping)]
        return f"{shown(key)}: no such key{elsewhere(key, error['input'], groups) or nearest_key(key, beside)}"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if isinstance(error["input"], Mapping):  # keys that do not go together; the message names them
        part = ".".join(_path(error["loc"], config, of_part=True))
        names = "|".join(map(re.escape, error["input"]))
        named = re.sub(rf"(?<![\w.])({names})(?=(?:\.\w+)*=)", rf"{part}.\1", message)
        return f"{part}: {message}" if named == message else named
    if isinstance(error["input"], str) and (group := "/".join(path)) in INNER:
        return f"{key}={shown(error['input'])}: is chosen by its file, with a slash, as {group}=NAME"
    return f"{shown(key)}={shown(error['input'])}: {message}"


def _path(location: Sequence[Any], config: Any, of_part: bool = False) -> list[str]:
    """Returns the keys in pydantic's location of an error, without the names of the alternatives that it tried.

    pydantic adds such a name where a part can be of several kinds. The last key may be absent from the configuration,
    unless `of_part`: the location is that of an existing part.
    """
    path, node = [], config
    for part in location:
        is_key = not isinstance(node, Mapping) or part in node or (part == location[-1] and not of_part)
        if is_key:
            path.append(str(part))
            node = node[part] if isinstance(node, Mapping) and part in node else None
    return path


def _keys(model: type[BaseModel], path: Sequence[str], node: Any) -> list[str]:
    """Returns the keys under `path` in nested settings; where a part can be of several kinds, those of all kinds."""
    models = [model]
    for name in path:
        node = node.get(name) if isinstance(node, Mapping) else None
        annotations = [one.model_fields[name].annotation for one in models if name in one.model_fields]
        models = [kind for annotation in annotations for kind in _kinds(annotation, node)]
    return list({field.alias or name: None for one in models for name, field in one.model_fields.items()})


def _kinds(annotation: Any, node: Any) -> list[type[BaseModel]]:
    """Returns the settings classes that a part can have; for an open choice, that of the class named in `node`."""
    if get_origin(annotation) is Chosen:
        path = node.get(TARGET) if isinstance(node, Mapping) else None
        return [settings_of(import_named(path, TARGET), *get_args(annotation))] if isinstance(path, str) else []
    kinds = get_args(annotation) or [annotation]
    return [kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, BaseModel)]

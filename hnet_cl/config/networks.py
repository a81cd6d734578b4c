"""Target networks that the user names by a class or a function: how they are found and checked."""

import inspect
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict
from torch import nn

from hnet_cl.core.chosen import arguments_of, parameters_of, subclass
from hnet_cl.core.config_hash import is_below
from hnet_cl.core.importing import import_named
from hnet_cl.targets.fitting import supplied

OURS = "hnet_cl"
PUBLISHED = "hnet_cl.targets.published"  # its functions build the networks that their names say


def network_builder(path: str, key: str) -> Callable[..., nn.Module]:
    """Imports what builds a target network: a class derived from `nn.Module`, or a function that says it returns one.

    Args:
        path: its dotted path.
        key: the key where the user wrote it, for messages.

    Raises:
        UserError: it cannot be imported.
        ValueError: it is neither, an abstract class, or a function of hnet_cl.
    """
    found: Any = import_named(path, key)
    if not inspect.isfunction(found):
        return subclass(path, key, nn.Module)
    # Ours are always trusted, and one that imports what it is told would evade `trust`: those of one module alone.
    if is_below(path, (OURS,)) and not is_below(path, (PUBLISHED,)):
        raise ValueError(f"{key}={path}: is no network; give a class, or a function of your own")
    returned = _returned(found)
    if not (inspect.isclass(returned) and issubclass(returned, nn.Module)):
        raise ValueError(f"{key}={path}: is a function that does not say that it returns a network; write -> nn.Module")
    return found


def _returned(function: Callable[..., Any]) -> Any:
    try:
        return inspect.signature(function, eval_str=True).return_annotation
    except NameError:  # a name that is imported for type checkers alone
        return None


def network_settings(build: Callable[..., nn.Module]) -> type[BaseModel]:
    """Builds settings from the arguments of a network's constructor, except for those that the run gives.

    A constructor that takes any keyword takes any key.
    """
    settings = arguments_of(build, tuple(supplied(build)))
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters_of(build).values()):
        return settings
    return type(settings.__name__, (settings,), {"model_config": ConfigDict(extra="allow")})

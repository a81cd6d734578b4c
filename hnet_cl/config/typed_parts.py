"""Parts of a method that are typed like its keys, as `method.regularizer=explicit`, at any depth, but are choices."""

import re
from collections.abc import Iterator

from hnet_cl.core.older import BLOCK_COUNT, REGULARIZER, TASKS
from hnet_cl.core.plain_text import shown

GROUP = f"method/{REGULARIZER}"


def as_choice(argument: str) -> str:
    """Returns the argument as Hydra expects a choice inside another one: its group, and its place in the configuration.

    `method.regularizer=explicit` becomes `method/regularizer=explicit`, and `method.generator.regularizer=explicit`
    becomes `method/regularizer@method.generator.regularizer=explicit`.
    """
    found = re.fullmatch(rf"(method(?:\.\w+)*)\.{REGULARIZER}=([^{{'\"$].*)", argument)
    if found is None:
        return argument
    place = "" if found[1] == "method" else f"@{found[1]}.{REGULARIZER}"
    return f"{GROUP}{place}={found[2]}"


def moved(argument: str) -> Iterator[str]:
    """Yields a line that says what to type instead of a key that belongs to the regulariser now."""
    key, _, value = argument.lstrip("+").partition("=")
    parent, _, name = key.rpartition(".")
    if name == TASKS[0]:
        present = f"{parent}.{REGULARIZER}.{TASKS[1]}={shown(value)}"
        yield f"{shown(argument)}: is a key of the regulariser now; type {present}"
    elif name == BLOCK_COUNT[0]:
        chosen = f"{parent}.{REGULARIZER}=blocks {parent}.{REGULARIZER}.{BLOCK_COUNT[1]}={shown(value)}"
        yield f"{shown(argument)}: is a regulariser of its own now; type {chosen}"

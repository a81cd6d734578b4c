"""Choices that are typed like keys: parts of a method, as `method.regularizer=explicit`, and `network=my.Net`."""

import re
from collections.abc import Iterator, Sequence

from hnet_cl.core.old_regularizers import BLOCK_COUNT, NAME, TASKS
from hnet_cl.core.plain_text import shown

GROUP = f"method/{NAME}"
NETWORK = "network"


def as_choice(argument: str) -> str:
    """Returns the argument as Hydra expects a choice inside another one: its group, and its place in the configuration.

    `method.regularizer=explicit` becomes `method/regularizer=explicit`, and `method.generator.regularizer=explicit`
    becomes `method/regularizer@method.generator.regularizer=explicit`.
    """
    found = re.fullmatch(rf"(method(?:\.\w+)*)\.{NAME}=([^{{'\"$].*)", argument)
    if found is None:
        return argument
    place = "" if found[1] == "method" else f"@{found[1]}.{NAME}"
    return f"{GROUP}{place}={found[2]}"


def with_target(arguments: Sequence[str]) -> list[str]:
    """Replaces `network=my.Net` by the choice of that target network, and `network.KEY=VALUE` by its argument."""
    found = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        first, dot, rest = key.lstrip("+").partition(".")
        if first == NETWORK and equals:
            found += [f"++target.{rest}={value}"] if dot else ["target=module", f"target._target_={value}"]
        else:
            found.append(argument)
    return found


def moved(argument: str) -> Iterator[str]:
    """Yields a line that says what to type instead of a key that belongs to the regulariser now."""
    key, _, value = argument.lstrip("+").partition("=")
    parent, _, name = key.rpartition(".")
    if name == TASKS[0]:
        yield f"{shown(argument)}: is a key of the regulariser now; type {parent}.{NAME}.{TASKS[1]}={shown(value)}"
    elif name == BLOCK_COUNT[0]:
        chosen = f"{parent}.{NAME}=blocks {parent}.{NAME}.{BLOCK_COUNT[1]}={shown(value)}"
        yield f"{shown(argument)}: is a regulariser of its own now; type {chosen}"

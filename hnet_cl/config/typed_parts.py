"""Short forms of arguments: parts of a method, as `method.regularizer=explicit`, several data sets, a network."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hnet_cl.core.errors import UserError
from hnet_cl.core.older import BLOCK_COUNT, REGULARIZER, TASKS
from hnet_cl.core.plain_text import shown

GROUP = f"method/{REGULARIZER}"
NETWORK = "network"
CHOSEN = "target=module"  # what network=my.Net becomes, besides its class
DATASET, SEVERAL = "dataset", "several"  # the group, and its file for several data sets
LISTED = re.compile(rf"{DATASET}=[\[{{].*[\]}}]")  # an argument that chooses several; not a sweep over lists


def as_choice(argument: str) -> str:
    """Returns the argument as Hydra expects a choice inside another one: its group, and its place in the configuration.

    `method.regularizer=explicit` becomes `method/regularizer=explicit`, and `method.generator.regularizer=explicit`
    becomes `method/regularizer@method.generator.regularizer=explicit`; `dataset.of=cifar10` becomes
    `dataset@dataset.of=cifar10`, unless it begins with a capital, as classes of torchvision do.
    """
    if of := re.fullmatch(r"(dataset(?:\.of)+)=([^{'\"$A-Z].*)", argument):
        return f"dataset@{of[1]}={of[2]}"
    found = re.fullmatch(rf"(method(?:\.\w+)*)\.{REGULARIZER}=([^{{'\"$].*)", argument)
    if found is None:
        return argument
    place = "" if found[1] == "method" else f"@{found[1]}.{REGULARIZER}"
    return f"{GROUP}{place}={found[2]}"


def with_target(arguments: Sequence[str]) -> list[str]:
    """Replaces `network=my.Net` by the choice of that target network, and `network.KEY=VALUE` by its argument."""
    found = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        first, dot, rest = key.lstrip("+").partition(".")
        if first == NETWORK and equals:
            found += [f"++target.{rest}={value}"] if dot else [CHOSEN, f"target._target_={value}"]
        else:
            found.append(argument)
    return found


def as_typed(message: str, arguments: Sequence[str]) -> str:
    """Returns a message with the keys of the target network called as typed, if it was chosen by `network=my.Net`."""
    if not any(argument == CHOSEN or argument.startswith(f"{NETWORK}=") for argument in arguments):
        return message
    message = re.sub(r"(?<![\w.])target\._target_(?=\W)", NETWORK, message)
    return re.sub(r"(?<![\w.])target(?=\.\w)|^target(?=: )", NETWORK, message, flags=re.MULTILINE)


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


def choices_of(argument: str, value: Any) -> list[str]:
    """Returns the choices that `dataset=[NAME,...]` or `dataset={a:NAME,...}` stands for.

    `dataset=[mnist,svhn]` becomes `dataset=several`, `+dataset@dataset.of.mnist=mnist` and the same for svhn, so that
    keys of each can be typed, as `dataset.of.mnist.source=full`.

    Args:
        argument: as typed.
        value: what stands behind the equals sign: a list of names, or a mapping to names.

    Raises:
        UserError: the value is neither, or a name is there twice.
    """
    names = dict(value) if isinstance(value, Mapping) else {str(name): name for name in value}
    words = [str(word) for pair in names.items() for word in pair]
    if not names or len(names) < len(value) or not all(re.fullmatch(r"[A-Za-z_][\w-]*", word) for word in words):
        raise UserError(
            f"{shown(argument)}: give different data sets, as {DATASET}=[mnist,fashion_mnist], or names of your own "
            f"for them, as {DATASET}={{a:folder,b:folder}}"
        )
    return [f"{DATASET}={SEVERAL}", *(f"+{DATASET}@{DATASET}.of.{own}={name}" for own, name in names.items())]

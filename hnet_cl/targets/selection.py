"""Chooses which parameters of a network are trained, by words."""

import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

from torch import nn

from hnet_cl.targets.lora import low_rank_parts
from hnet_cl.targets.output_layer import output_layer

ALL, HEAD, NORMS, LORA = "all", "head", "norms", "lora"
JOINT = "+"
SHOWN = 12  # names in a message


def selected(network: nn.Module, words: str, num_outputs: int) -> list[str]:
    """Returns the names of the parameters that `words` select among those with `requires_grad`, in the network's order.

    Args:
        network: the network.
        words: one or more, joined by +: `all`; `head`, the output layer; `norms`, the layers whose class has Norm in
            its name, as BatchNorm2d; `lora`, the low-rank parts that were added to layers; `last_K`, the last K layers
            that have something to select; anything else is a pattern of names in the style of a shell. It selects
            parameters, or modules with all of their parameters.
        num_outputs: the number of the network's outputs, which the output layer must have.

    Raises:
        ValueError: a word selects nothing.
    """
    names = {name: p for name, p in network.named_parameters() if p.requires_grad and p.numel()}
    able = {id(parameter) for parameter in names.values()}
    found: set[int] = set()
    for word in words.split(JOINT):
        own = able.intersection(_of_word(network, word, num_outputs, able))
        if not own:
            raise ValueError(
                f"{word!r} selects nothing that can be trained in {type(network).__name__}, which has {in_short(names)}"
            )
        found |= own
    return [name for name, parameter in names.items() if id(parameter) in found]


def freeze_others(network: nn.Module, names: Collection[str]) -> None:
    """Sets `requires_grad` to False for all parameters of the network but those with these `names`."""
    for name, parameter in network.named_parameters():
        if name not in names:
            parameter.requires_grad_(False)


def in_short(names: Collection[str]) -> str:
    """Joins names by commas, with nothing that a terminal obeys; of many, the first and the number of the others."""
    first = ", ".join(name if name.isprintable() else repr(name) for name in [*names][:SHOWN])
    return f"{first} and {len(names) - SHOWN} more" if len(names) > SHOWN else first


def _of_word(network: nn.Module, word: str, num_outputs: int, able: set[int]) -> Iterator[int]:
    """Yields the ids of the parameters that one word selects; only `last_K` asks which of them are `able`."""
    if word == ALL:
        yield from map(id, network.parameters())
    elif word == HEAD:
        layer = output_layer(network, num_outputs)
        yield from map(id, layer[1].parameters() if layer else ())
    elif word == NORMS:
        norms = (module for module in network.modules() if "Norm" in type(module).__name__)
        yield from (id(parameter) for module in norms for parameter in module.parameters(recurse=False))
    elif word == LORA:
        yield from map(id, low_rank_parts(network))
    elif last := re.fullmatch(r"last_([1-9]\d{0,8})", word):
        own = ([*map(id, module.parameters(recurse=False))] for module in network.modules())
        layers = [ids for ids in own if not able.isdisjoint(ids)]
        yield from (one for ids in layers[-int(last[1]) :] for one in ids)
    else:
        for name, parameter in network.named_parameters(remove_duplicate=False):
            if fnmatchcase(name, word) or fnmatchcase(name, f"{word}.*"):
                yield id(parameter)

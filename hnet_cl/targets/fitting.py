"""Builds any network for inputs and outputs of given sizes, whatever its constructor calls them."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from torch import Tensor, nn

from hnet_cl.targets.inputs import resized

Build = Callable[..., nn.Module]  # a class, or a function
OWN = ("in_shape", "num_outputs")  # a constructor that takes both is given nothing else
OUTPUTS = ("num_outputs", "num_classes", "n_classes", "out_features")
INPUTS = ("in_shape", "in_channels", "in_chans", "in_features", "image_size", "img_size")
COLOURS = 3


def supplied(build: Build) -> list[str]:
    """Returns the names of those arguments of a network's constructor that follow from the sizes of its task.

    Of several names for the number of outputs, the first in `OUTPUTS` counts. Whoever takes `in_shape` and
    `num_outputs` gets these alone.
    """
    names = _parameters(build)
    if set(OWN) <= names.keys():
        return [*OWN]
    return [*(name for name in INPUTS if name in names), *[name for name in OUTPUTS if name in names][:1]]


def fitted(
    build: Build, in_shape: Sequence[int], num_outputs: int, arguments: Mapping[str, Any]
) -> tuple[nn.Module, list[str]]:
    """Builds a network for inputs of shape `in_shape` and `num_outputs` outputs.

    The constructor is given what it asks for by a usual name (`supplied`). One that takes any keyword is tried with
    `num_classes`, as functions of torchvision and timm are called. If that does not fix the number of outputs, the last
    `nn.Linear` is replaced. A network for colour images sees a grey image as three equal channels.

    Args:
        build: the class of the network, or a function that returns one.
        in_shape: shape of one input.
        num_outputs: the number of logits.
        arguments: all other arguments.

    Returns:
        the network, and a line for each thing that was chosen for it; none if it took `in_shape` and `num_outputs`.

    Raises:
        ValueError: the number of outputs can neither be given nor changed.
        Exception: any error of the constructor.
    """
    values = _values(in_shape, num_outputs)
    given = {name: values[name] for name in supplied(build) if name in values}
    if set(OWN) <= given.keys():
        return build(**given, **arguments), []
    told = any(name in given for name in OUTPUTS)
    network, also = _built(build, given, num_outputs, arguments)
    given |= also
    notes = [f"it is given {', '.join(f'{name}={value}' for name, value in given.items())}"] if given else []
    if not told and not (also and _has_outputs(network, num_outputs)):
        notes += _with_outputs(network, num_outputs)
    if not any(name in given for name in ("in_shape", "in_channels", "in_chans")):
        notes += _with_colours(network, in_shape)
    notes += resized(network, in_shape)
    return network, notes


def _values(in_shape: Sequence[int], num_outputs: int) -> dict[str, Any]:
    """Returns the value of each name that the constructor of a network may have for a size."""
    values = {"in_shape": in_shape, "in_channels": in_shape[0], "in_chans": in_shape[0], "in_features": prod(in_shape)}
    if len(in_shape) == 3:
        _, height, width = in_shape
        values |= dict.fromkeys(("image_size", "img_size"), height if height == width else (height, width))
    return values | dict.fromkeys(OUTPUTS, num_outputs)


def _parameters(build: Build) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(build).parameters


def _built(
    build: Build, given: Mapping[str, Any], num_outputs: int, arguments: Mapping[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
    """Calls the constructor; returns the network, and what the constructor was given beside `given` and `arguments`.

    That is `num_classes` if it takes any keyword, and has no name of its own for the number of outputs.
    """
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in _parameters(build).values())
    if open_ended and not any(name in given or name in arguments for name in OUTPUTS):
        try:
            also = {"num_classes": num_outputs}
            return build(**given, **also, **arguments), also
        except TypeError as error:
            if "num_classes" not in str(error):
                raise
    return build(**given, **arguments), {}


def _has_outputs(network: nn.Module, num_outputs: int) -> bool:
    """Tells whether a layer has as many outputs: a constructor that takes any keyword may have ignored the number."""
    sizes = {nn.Linear: "out_features", nn.Conv2d: "out_channels"}
    layers = ((layer, name) for layer in network.modules() for kind, name in sizes.items() if isinstance(layer, kind))
    return any(getattr(layer, name) == num_outputs for layer, name in layers)


def _with_outputs(network: nn.Module, num_outputs: int) -> list[str]:
    """Gives the last `nn.Linear` of a network `num_outputs` outputs if it has others; returns a line that says so.

    Raises:
        ValueError: the network has no such layer inside.
    """
    # Not a class derived from it, such as the projection inside attention: that is no output layer.
    layers = [(name, layer) for name, layer in network.named_modules() if type(layer) is nn.Linear and name]
    if not layers:
        raise ValueError(f"it takes none of {', '.join(OUTPUTS)}, and has no nn.Linear to replace")
    path, last = layers[-1]
    if last.out_features == num_outputs:
        return []
    parent, _, name = path.rpartition(".")
    new = nn.Linear(last.in_features, num_outputs, bias=last.bias is not None)
    setattr(network.get_submodule(parent), name, new)
    return [f"its last linear layer, {path}, has {num_outputs} outputs in place of {last.out_features}"]


def _with_colours(network: nn.Module, in_shape: Sequence[int]) -> list[str]:
    """Lets a network whose first convolution is for colours take grey images; returns a line that says so."""
    first = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
    if len(in_shape) != 3 or in_shape[0] != 1 or first is None or first.in_channels != COLOURS:
        return []
    network.register_forward_pre_hook(_in_colours, prepend=True)  # before other hooks, which may be for colours
    return ["it sees grey images as three equal channels"]


def _in_colours(network: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Repeats the one channel of images (b, 1, height, width)."""
    grey, *others = inputs
    return grey.repeat(1, COLOURS, 1, 1), *others

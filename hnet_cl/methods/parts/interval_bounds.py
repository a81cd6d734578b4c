"""Bounds of a network's outputs for all weights within a box, by interval arithmetic. A part of methods.

Gowal et al., Scalable verified training for provably robust image classification, ICCV 2019, for boxes of weights as in
HyperInterval (Krukowski et al., arXiv 2405.15444). There activations have to be non-negative; here they need not.

A product x w with x in [x1, x2] and w in [w1, w2] is at least x1+ w1+ + x2+ w1- + x1- w2+ + x2- w2-, where + and - are
the positive and the negative part of a number, and likewise at most. That is exact if x does not change its sign.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import Box, TargetNetwork
from hnet_cl.methods.parts.network import called, refuse_low_rank
from hnet_cl.targets.bfloat16 import in_float32

POSITIVE = (nn.ReLU, nn.Sigmoid)  # monotone, and their outputs are not negative
MONOTONE = (nn.Tanh, nn.Hardtanh)
KEEPING = (nn.Flatten, nn.Unflatten, nn.Identity, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)  # keep the sign
DROPPING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d)  # bounds are those of evaluation, where they do nothing
FUNCTIONS: Mapping[str, bool] = {  # monotone functions and methods, and whether outputs are never negative
    "relu": True, "relu_": True, "sigmoid": True, "sigmoid_": True, "tanh": False, "tanh_": False,
    "flatten": False, "view": False, "reshape": False,
}  # fmt: skip
KEPT = {"flatten", "view", "reshape"}
KNOWN = "nn.Linear, nn.Conv2d, monotone activations, pooling, dropout and flattening"


class Bounds(NamedTuple):
    """Lower and upper bounds of activations, and whether both are known to be no less than zero."""

    low: Tensor
    high: Tensor
    positive: bool = False


class IntervalBounds:
    """Computes bounds of a target network's outputs for boxes of its weights.

    Its layers are found by tracing the network, and each of them must be one whose bounds are known.

    Args:
        target: the network as a function of weights.
        method: the method that needs the bounds, for messages.

    Raises:
        UserError: the network cannot be traced, or the bounds of a layer are not known; the message names the layer.
    """

    def __init__(self, target: TargetNetwork, method: str) -> None:
        self._target = target
        self._at = f"{called(target.module)}: method={method}"
        refuse_low_rank(target.module, method)
        module = nn.Sequential(in_float32(target.module))  # it can be a single layer
        names = {id(parameter): name for name, parameter in target.module.named_parameters()}
        self._names = {
            f"{path}.{key}": names[id(parameter)]
            for path, layer in module.named_modules(remove_duplicate=False)
            for key, parameter in layer.named_parameters(recurse=False)
        }
        self._modules = dict(module.named_modules(remove_duplicate=False))
        self._nodes = self._traced(module)
        for node in self._nodes:
            self._require_known(node)

    def _traced(self, module: nn.Module) -> list[fx.Node]:
        try:
            return [*fx.Tracer().trace(module).nodes]
        except Exception as error:
            raise UserError(
                f"{self._at} follows a box of weights through the network's layers, and they cannot be traced "
                f"({type(error).__name__}); use a target whose layers form one chain, or method=hnet"
            ) from error

    def _require_known(self, node: fx.Node) -> None:
        known = node.op in ("placeholder", "output")
        name, kind = str(node.target), node.op
        if node.op == "call_module":
            layer, name = self._modules[name], name.partition(".")[2]
            kind = f"nn.{type(layer).__name__}"
            plain_conv = type(layer) is nn.Conv2d and layer.padding_mode == "zeros"
            known = type(layer) is nn.Linear or plain_conv or type(layer) in (*POSITIVE, *MONOTONE, *KEEPING, *DROPPING)
        elif node.op in ("call_function", "call_method"):
            name = kind = _function(node)
            known = name in FUNCTIONS
        one_input = len(node.all_input_nodes) == 1 or node is self._nodes[0]
        if not (known and one_input):
            raise UserError(
                f"{self._at} knows the interval bounds of {KNOWN} alone, and not of {name} ({kind}); use another "
                "target, or method=hnet"
            )

    def __call__(self, box: Box, buffers: Mapping[str, Tensor], inputs: Tensor) -> Bounds:
        """Computes bounds of the outputs (b, n) for inputs (b, *in_shape) and all weights within a box, in float32."""
        low, high = (self._target.named_state(weights, buffers) for weights in (box.low, box.high))
        values: dict[fx.Node, Bounds] = {}
        for node in self._nodes:
            if node.op == "placeholder":
                values[node] = Bounds(inputs, inputs)
            elif node.op == "output":
                return values[node.all_input_nodes[0]]
            else:
                values[node] = self._through(node, values[node.all_input_nodes[0]], low, high)
        raise AssertionError("a traced network has an output")

    def _through(self, node: fx.Node, given: Bounds, low: Mapping[str, Tensor], high: Mapping[str, Tensor]) -> Bounds:
        if node.op != "call_module":
            return _applied(node, given)
        layer = self._modules[str(node.target)]
        if isinstance(layer, nn.Linear | nn.Conv2d):
            weight = self._names[f"{node.target}.weight"]
            bias = self._names.get(f"{node.target}.bias")
            of_bias = (None, None) if bias is None else (low[bias], high[bias])
            return affine(given, (low[weight], high[weight]), of_bias, _product(layer))
        if isinstance(layer, DROPPING):
            return given
        positive = isinstance(layer, POSITIVE) or (given.positive and isinstance(layer, KEEPING))
        return _of_both(_without_writing(layer), given, positive)


def affine(
    given: Bounds,
    weight: tuple[Tensor, Tensor],
    bias: tuple[Tensor | None, Tensor | None],
    product: Callable[[Tensor, Tensor], Tensor] = F.linear,
) -> Bounds:
    """Computes bounds of W x + b for x, W and b within bounds; `product(x, W)` is linear in both.

    The bounds are exact for each output if x is a point, or never negative.
    """
    (low, high), (low_bias, high_bias) = weight, bias
    (low_up, low_down), (high_up, high_down) = _parts(low), _parts(high)
    if given.positive:
        least = product(given.low, low_up) + product(given.high, low_down)
        most = product(given.high, high_up) + product(given.low, high_down)
    elif given.low is given.high:
        up, down = _parts(given.low)
        least, most = product(up, low) + product(down, high), product(up, high) + product(down, low)
    else:
        (first_up, first_down), (last_up, last_down) = _parts(given.low), _parts(given.high)
        least = product(first_up, low_up) + product(last_up, low_down)
        least = least + product(first_down, high_up) + product(last_down, high_down)
        most = product(last_up, high_up) + product(first_up, high_down)
        most = most + product(last_down, low_up) + product(first_down, low_down)
    return Bounds(_plus(least, low_bias), _plus(most, high_bias))


def worst_case(bounds: Bounds, labels: Tensor) -> Tensor:
    """Returns the worst logits (b, n) for labels (b,): the lower bound of the label's, upper bounds of the others."""
    right = labels[:, None] == torch.arange(bounds.low.shape[1], device=labels.device)
    return torch.where(right, bounds.low, bounds.high)


def _parts(values: Tensor) -> tuple[Tensor, Tensor]:
    """Returns positive and negative parts, whose gradients add up to that of the values at zero too."""
    positive = values.relu()
    return positive, values - positive


def _plus(values: Tensor, bias: Tensor | None) -> Tensor:
    return values if bias is None else values + bias.view(-1, *[1] * (values.dim() - 2))


def _product(layer: nn.Linear | nn.Conv2d) -> Callable[[Tensor, Tensor], Tensor]:
    if isinstance(layer, nn.Linear):
        return F.linear
    given: dict[str, Any] = {key: getattr(layer, key) for key in ("stride", "padding", "dilation", "groups")}
    return partial(F.conv2d, **given)


def _without_writing(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Returns a function that applies a layer without parameters, and leaves its input as it is."""
    return (lambda values: layer(values.clone())) if getattr(layer, "inplace", False) else layer


def _function(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def _applied(node: fx.Node, given: Bounds) -> Bounds:
    """Applies a function or method of `FUNCTIONS`, by its form that does not write into its input."""
    name = _function(node)
    apply: Callable[..., Tensor] = getattr(Tensor, name.removesuffix("_"))
    arguments: Sequence[Any] = node.args[1:] if name in KEPT else ()
    named = {key: value for key, value in node.kwargs.items() if key not in ("input", "inplace")}
    positive = FUNCTIONS[name] or (given.positive and name in KEPT)
    return _of_both(lambda values: apply(values, *arguments, **named), given, positive)


def _of_both(apply: Callable[[Tensor], Tensor], given: Bounds, positive: bool) -> Bounds:
    """Applies a monotone function to both bounds; those of a point stay one tensor."""
    low = apply(given.low)
    return Bounds(low, low if given.high is given.low else apply(given.high), positive)
